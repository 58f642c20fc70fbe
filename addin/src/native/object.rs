//! One component object as the host holds it: four sub-objects, the component, and the host's connection and memory.
//! Holds no lock while it calls the host, and forgets the host's pointers at Done.

use std::ffi::{c_long, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

use licence::Lang;
use parking_lot::Mutex;

use super::abi::{Connection, MemoryManager, Unit, Variant, capabilities};
use super::component::{AnyComponent, Class, Failure, Names, Signature, same_name};
use super::guard;
use super::host::Link;
use super::memory::Memory;
use super::value::Value;
use super::variant::Unwritten;
use super::{fault, variant, vtable};

/// Level of the host, from `SetPlatformCapabilities`.
static LEVEL: AtomicI32 = AtomicI32::new(0);

/// Remembers the level of the host and answers with ours.
pub fn agree_on_level(level: i32) -> i32 {
    LEVEL.store(level, Ordering::Relaxed);
    capabilities::OURS
}

/// An object of the API. Its address, and that of each word of `bases`, is what the host calls with.
#[repr(C)]
pub struct Object {
    bases: [*const c_void; vtable::BASES],
    class: &'static Class,
    /// Gone after the destructor that leaves the memory. The lock orders calls of hosts that don't.
    component: Mutex<Option<Box<dyn AnyComponent>>>,
    links: Mutex<Links>,
    /// Language of error texts.
    language: Mutex<Lang>,
}

// The host takes the address of an object for that of its first vtable pointer.
const _: () = assert!(std::mem::offset_of!(Object, bases) == 0);

#[derive(Clone, Copy, Default)]
struct Links {
    connection: Option<Link>,
    memory: Option<Memory>,
    /// Between Init and Done.
    begun: bool,
}

/// The class that `name` means: case does not matter, as it doesn't in 1C.
pub fn find_class<'a>(classes: &'a [Class], name: &str) -> Option<&'a Class> {
    classes.iter().find(|class| same_name(class.name, name))
}

impl Object {
    /// Makes an object. Panics if the component does.
    pub fn create(class: &'static Class) -> Box<Self> {
        Box::new(Self {
            bases: vtable::pointers(),
            class,
            component: Mutex::new(Some((class.create)())),
            links: Mutex::default(),
            language: Mutex::default(),
        })
    }

    /// Ends the component, with Done first if the host left it out. A second call does nothing.
    pub fn end(&self) {
        self.done();
        let component = self.component.lock().take();
        // A panic in a drop is logged by the guard, and there is nobody else to tell.
        guard::entry((), || drop(component));
    }

    /// # Safety
    /// `connection` is NULL, or valid until Done or the destructor.
    pub unsafe fn init(&self, connection: *mut Connection) -> bool {
        // SAFETY: the caller promises it; `done` forgets the value.
        let Some(link) = (unsafe { Link::new(connection) }) else { return false };
        {
            let mut links = self.links.lock();
            links.connection = Some(link);
            links.begun = true;
        }
        let host = link.introduce(LEVEL.load(Ordering::Relaxed));
        self.attempt(|| {
            self.with(|component| component.init(&host));
            Ok(())
        })
        .is_some()
    }

    /// # Safety
    /// `manager` is NULL, or valid until Done or the destructor.
    pub unsafe fn set_memory(&self, manager: *mut MemoryManager) -> bool {
        // SAFETY: the caller promises it; `done` forgets the value.
        let memory = unsafe { Memory::new(manager) };
        self.links.lock().memory = memory;
        memory.is_some()
    }

    /// Lets the component finish, then forgets the host.
    pub fn done(&self) {
        let begun = std::mem::take(&mut self.links.lock().begun);
        if begun {
            // Errors at the end have no caller to go to.
            guard::entry((), || {
                self.with(|component| component.done());
            });
        }
        *self.links.lock() = Links::default();
    }

    pub fn set_locale(&self, locale: &str) {
        *self.language.lock() = Lang::of_locale(locale);
        self.with(|component| component.set_locale(locale));
    }

    pub fn set_language(&self, code: &str) {
        *self.language.lock() = Lang::of_locale(code);
        self.with(|component| component.set_language(code));
    }

    /// Name of the class, in the host's memory.
    pub fn class_name(&self) -> Option<*mut Unit> {
        self.text(self.class.name)
    }

    pub fn properties(&self) -> c_long {
        self.with(|component| number(component.properties())).unwrap_or(0)
    }

    pub fn find_property(&self, name: &str) -> Option<c_long> {
        self.with(|component| component.find_property(name)).flatten().map(number)
    }

    pub fn property_name(&self, property: c_long, alias: c_long) -> Option<*mut Unit> {
        let names = self.property(property)?.names;
        self.text(names.alias(alias)?)
    }

    pub fn property(&self, property: c_long) -> Option<super::component::Access> {
        self.with(|component| component.property(index(property)?)).flatten()
    }

    /// # Safety
    /// As of [`variant::write`], but `out` may be NULL.
    pub unsafe fn get(&self, property: c_long, out: *mut Variant) -> bool {
        let got = self.attempt(|| {
            let access = self.property(property).ok_or_else(|| fault::unknown_member(property))?;
            self.member(property, |component, property| component.get(property))
                .ok_or_else(|| fault::not_readable(access.names))?
        });
        // SAFETY: the caller promises it.
        got.is_some_and(|value| unsafe { self.give(value, out) })
    }

    /// # Safety
    /// As of [`variant::read`], but `value` may be NULL.
    pub unsafe fn set(&self, property: c_long, value: *const Variant) -> bool {
        self.attempt(|| {
            let names = self.property(property).ok_or_else(|| fault::unknown_member(property))?.names;
            // SAFETY: the caller promises it.
            let value = unsafe { self.take(names, 0, value) }?;
            self.member(property, |component, property| component.set(property, value))
                .ok_or_else(|| fault::not_writable(names))?
        })
        .is_some()
    }

    pub fn methods(&self) -> c_long {
        self.with(|component| number(component.methods())).unwrap_or(0)
    }

    pub fn find_method(&self, name: &str) -> Option<c_long> {
        self.with(|component| component.find_method(name)).flatten().map(number)
    }

    pub fn method(&self, method: c_long) -> Option<Signature> {
        self.with(|component| component.method(index(method)?)).flatten()
    }

    pub fn method_name(&self, method: c_long, alias: c_long) -> Option<*mut Unit> {
        let names = self.method(method)?.names;
        self.text(names.alias(alias)?)
    }

    /// Writes the default of a parameter; false and Неопределено if it has none.
    ///
    /// # Safety
    /// As of [`variant::write`], but `out` may be NULL.
    pub unsafe fn default_value(&self, method: c_long, parameter: c_long, out: *mut Variant) -> bool {
        let preset = self
            .method(method)
            .and_then(|signature| signature.optional.get(index(parameter)?.checked_sub(signature.required)?).copied());
        let value = preset.map_or(Value::Undefined, |preset| preset.value());
        // SAFETY: the caller promises it.
        unsafe { self.give(value, out) && preset.is_some() }
    }

    /// Runs a method; `result` is NULL for the call as a procedure.
    ///
    /// # Safety
    /// `arguments` is an array of `count` variants as of [`variant::read`]; it may be NULL. `result` is NULL or as of
    /// [`variant::write`].
    pub unsafe fn call(
        &self,
        method: c_long,
        arguments: *const Variant,
        count: c_long,
        result: Option<*mut Variant>,
    ) -> bool {
        let value = self.attempt(|| {
            let signature = self.method(method).ok_or_else(|| fault::unknown_member(method))?;
            // SAFETY: the caller promises it.
            let mut arguments = unsafe { self.arguments(&signature, arguments, count) }?;
            let value = self
                .member(method, |component, method| component.call(method, &mut arguments))
                .ok_or_else(|| fault::unknown_member(method))??;
            Ok(if signature.has_result { value } else { Value::Undefined })
        });
        match (value, result) {
            (Some(_), None) => true,
            // SAFETY: the caller promises it.
            (Some(value), Some(result)) => unsafe { self.give(value, result) },
            (None, _) => false,
        }
    }

    /// # Safety
    /// As of [`Self::call`].
    unsafe fn arguments(
        &self,
        signature: &Signature,
        arguments: *const Variant,
        count: c_long,
    ) -> Result<Vec<Value>, Failure> {
        let (least, most) = (signature.required, signature.parameters());
        let names = signature.names;
        let given = index(count).filter(|given| (least..=most).contains(given));
        let given = given.filter(|given| *given == 0 || !arguments.is_null()).ok_or_else(|| {
            let given = if arguments.is_null() { 0 } else { count };
            fault::count(names, least, most, given)
        })?;
        let mut values = Vec::with_capacity(most);
        for place in 0..given {
            // SAFETY: `place` is inside the array that the caller promises.
            values.push(unsafe { self.take(names, place + 1, arguments.add(place)) }?);
        }
        values.resize(most, Value::Undefined);
        for (value, preset) in values.iter_mut().skip(least).zip(signature.optional) {
            // An omitted argument comes as Неопределено from some hosts, and not at all from others.
            if *value == Value::Undefined {
                *value = preset.value();
            }
        }
        Ok(values)
    }

    /// # Safety
    /// As of [`variant::read`], but `value` may be NULL.
    unsafe fn take(&self, names: Names, position: usize, value: *const Variant) -> Result<Value, Failure> {
        if value.is_null() {
            return Ok(Value::Undefined);
        }
        // SAFETY: the caller promises it.
        unsafe { variant::read(value) }.map_err(|reason| fault::argument(names, position, reason))
    }

    /// Hands a value to the host, with no lock held. A promise that can't be kept is a refusal: the host gets Неопределено.
    ///
    /// # Safety
    /// As of [`variant::write`], but `out` may be NULL.
    unsafe fn give(&self, value: Value, out: *mut Variant) -> bool {
        if out.is_null() {
            return false;
        }
        let memory = self.links.lock().memory;
        // SAFETY: the caller promises it, and NULL is excluded.
        let written = guard::catch(|| unsafe { variant::write(out, &value, memory) });
        let failure = match written {
            Ok(Ok(())) => return true,
            Ok(Err(Unwritten::Refused(error))) => {
                guard::entry((), || {
                    self.with(|component| component.refused(error));
                });
                return true;
            }
            Ok(Err(Unwritten::NoMemory)) => fault::no_memory(),
            Err(_) => fault::panic(),
        };
        self.report(&failure);
        false
    }

    fn text(&self, text: &str) -> Option<*mut Unit> {
        let memory = self.links.lock().memory;
        Some(memory?.text(text)?.ptr)
    }

    /// Runs `body` on the component, or not at all after the destructor.
    fn with<R>(&self, body: impl FnOnce(&mut dyn AnyComponent) -> R) -> Option<R> {
        self.component.lock().as_mut().map(|component| body(component.as_mut()))
    }

    fn member<R>(&self, member: c_long, body: impl FnOnce(&mut dyn AnyComponent, usize) -> Option<R>) -> Option<R> {
        self.with(|component| body(component, index(member)?)).flatten()
    }

    /// Runs `body`; a failure or panic is told to the host, with no lock held.
    fn attempt<R>(&self, body: impl FnOnce() -> Result<R, Failure>) -> Option<R> {
        match guard::catch(body).unwrap_or_else(|_| Err(fault::panic())) {
            Ok(result) => Some(result),
            Err(failure) => {
                self.report(&failure);
                None
            }
        }
    }

    /// Tells the component, which keeps the text for a host that shows none, then the host.
    fn report(&self, failure: &Failure) {
        let Failure(error) = failure;
        guard::entry((), || {
            self.with(|component| component.failed(error));
        });
        let connection = self.links.lock().connection;
        if let Some(connection) = connection {
            connection.add_error(self.class.name, &error.message(*self.language.lock()));
        }
    }
}

fn index(number: c_long) -> Option<usize> {
    usize::try_from(number).ok()
}

fn number(index: usize) -> c_long {
    c_long::try_from(index).unwrap_or(c_long::MAX)
}
