//! The entry points of an object: vtables of its four sub-objects, and the functions in their slots.
//! Each function finds its object, goes through the panic boundary and has an answer for everything.
//!
//! # Safety
//! Of all functions in the tables: the host calls them with the sub-object's address of an object that
//! `GetClassObject` made and that is not destroyed, or with NULL; further pointers are as the Native API describes
//! them, or NULL.

use std::ffi::{c_long, c_void};
use std::ptr;

use super::abi::{
    Connection, Destructors, InitDone, LanguageExtender, Locale, MemoryManager, TECHNOLOGY, Table, This, Unit, Variant,
};
use super::guard;
use super::object::Object;
use super::text;

/// Number of sub-objects.
pub const BASES: usize = 4;

// Numbers of the sub-objects, which are also their distances from the object in words.
const INIT_DONE: usize = 0;
const EXTENDER: usize = 1;
const LOCALE: usize = 2;
const LANGUAGE: usize = 3;

const WORD: usize = size_of::<*const c_void>();

/// Vtable pointers of a new object, in the order of its sub-objects.
pub fn pointers() -> [*const c_void; BASES] {
    [
        (&raw const INIT_DONE_TABLE.destructors).cast(),
        (&raw const EXTENDER_TABLE.destructors).cast(),
        (&raw const LOCALE_TABLE.destructors).cast(),
        (&raw const LANGUAGE_TABLE.destructors).cast(),
    ]
}

static INIT_DONE_TABLE: Table<InitDone> = table::<INIT_DONE, _>(InitDone { init, set_mem_manager, get_info, done });

static EXTENDER_TABLE: Table<LanguageExtender> = table::<EXTENDER, _>(LanguageExtender {
    register_extension_as,
    get_n_props,
    find_prop,
    get_prop_name,
    get_prop_val,
    set_prop_val,
    is_prop_readable,
    is_prop_writable,
    get_n_methods,
    find_method,
    get_method_name,
    get_n_params,
    get_param_def_value,
    has_ret_val,
    call_as_proc,
    call_as_func,
});

static LOCALE_TABLE: Table<Locale> = table::<LOCALE, _>(Locale { set: set_locale });

static LANGUAGE_TABLE: Table<Locale> = table::<LANGUAGE, _>(Locale { set: set_user_interface_language_code });

#[cfg(not(windows))]
const fn table<const BASE: usize, Methods>(methods: Methods) -> Table<Methods> {
    Table {
        offset_to_top: -((BASE * WORD) as isize),
        typeinfo: 0,
        destructors: Destructors { complete: complete::<BASE>, deleting: deleting::<BASE> },
        methods,
    }
}

#[cfg(windows)]
const fn table<const BASE: usize, Methods>(methods: Methods) -> Table<Methods> {
    Table { destructors: Destructors { scalar_deleting: scalar_deleting::<BASE> }, methods }
}

/// The object that a sub-object belongs to, NULL for NULL.
fn whole(this: This, base: usize) -> *mut Object {
    if this.is_null() { ptr::null_mut() } else { this.wrapping_byte_sub(base * WORD).cast() }
}

/// Runs an entry point of the sub-object `base`.
///
/// # Safety
/// See the module.
unsafe fn on<R: Copy>(this: This, base: usize, default: R, body: impl FnOnce(&Object) -> R) -> R {
    // SAFETY: the host passes an object of ours that lives; all its methods take it by shared reference.
    match unsafe { whole(this, base).as_ref() } {
        Some(object) => guard::entry(default, || body(object)),
        None => default,
    }
}

/// Ends an object and frees its memory.
///
/// # Safety
/// `object` came from `Box::into_raw`, and nobody uses it any more.
pub unsafe fn delete(object: *mut Object) {
    guard::entry((), || {
        // SAFETY: the caller promises it.
        let object = unsafe { Box::from_raw(object) };
        object.end();
    });
}

#[cfg(not(windows))]
unsafe extern "C" fn complete<const BASE: usize>(this: This) {
    // SAFETY: see the module.
    unsafe { on(this, BASE, (), Object::end) }
}

#[cfg(not(windows))]
unsafe extern "C" fn deleting<const BASE: usize>(this: This) {
    let object = whole(this, BASE);
    if !object.is_null() {
        // SAFETY: see the module; C++ `delete` is the object's last use.
        unsafe { delete(object) }
    }
}

#[cfg(windows)]
macro_rules! scalar_deleting {
    ($convention:literal) => {
        unsafe extern $convention fn scalar_deleting<const BASE: usize>(this: This, flags: u32) -> This {
            let object = whole(this, BASE);
            if object.is_null() {
                return this;
            }
            if flags & 1 == 0 {
                // SAFETY: see the module.
                unsafe { on(this, BASE, (), Object::end) }
            } else {
                // SAFETY: see the module; C++ `delete` is the object's last use.
                unsafe { delete(object) }
            }
            this
        }
    };
}

// The one slot that is not stdcall on 32-bit Windows.
#[cfg(all(windows, target_arch = "x86"))]
scalar_deleting!("thiscall");
#[cfg(all(windows, not(target_arch = "x86")))]
scalar_deleting!("C");

unsafe extern "system" fn init(this: This, connection: *mut Connection) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, INIT_DONE, false, |object| object.init(connection)) }
}

unsafe extern "system" fn set_mem_manager(this: This, manager: *mut MemoryManager) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, INIT_DONE, false, |object| object.set_memory(manager)) }
}

unsafe extern "system" fn get_info(_this: This) -> c_long {
    TECHNOLOGY
}

unsafe extern "system" fn done(this: This) {
    // SAFETY: see the module.
    unsafe { on(this, INIT_DONE, (), Object::done) }
}

unsafe extern "system" fn register_extension_as(this: This, name: *mut *mut Unit) -> bool {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, false, |object| {
            if name.is_null() {
                return false;
            }
            let Some(text) = object.class_name() else { return false };
            *name = text;
            true
        })
    }
}

unsafe extern "system" fn get_n_props(this: This) -> c_long {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, 0, Object::properties) }
}

unsafe extern "system" fn find_prop(this: This, name: *const Unit) -> c_long {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, -1, |object| {
            text::terminated(name).and_then(|name| object.find_property(&name)).unwrap_or(-1)
        })
    }
}

unsafe extern "system" fn get_prop_name(this: This, number: c_long, alias: c_long) -> *const Unit {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, ptr::null(), |object| {
            object.property_name(number, alias).map_or(ptr::null(), <*mut Unit>::cast_const)
        })
    }
}

unsafe extern "system" fn get_prop_val(this: This, number: c_long, value: *mut Variant) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.get(number, value)) }
}

unsafe extern "system" fn set_prop_val(this: This, number: c_long, value: *mut Variant) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.set(number, value)) }
}

unsafe extern "system" fn is_prop_readable(this: This, number: c_long) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.property(number).is_some_and(|access| access.readable)) }
}

unsafe extern "system" fn is_prop_writable(this: This, number: c_long) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.property(number).is_some_and(|access| access.writable)) }
}

unsafe extern "system" fn get_n_methods(this: This) -> c_long {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, 0, Object::methods) }
}

unsafe extern "system" fn find_method(this: This, name: *const Unit) -> c_long {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, -1, |object| text::terminated(name).and_then(|name| object.find_method(&name)).unwrap_or(-1))
    }
}

unsafe extern "system" fn get_method_name(this: This, number: c_long, alias: c_long) -> *const Unit {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, ptr::null(), |object| {
            object.method_name(number, alias).map_or(ptr::null(), <*mut Unit>::cast_const)
        })
    }
}

unsafe extern "system" fn get_n_params(this: This, number: c_long) -> c_long {
    // SAFETY: see the module.
    unsafe {
        on(this, EXTENDER, 0, |object| {
            object.method(number).and_then(|method| c_long::try_from(method.parameters()).ok()).unwrap_or(0)
        })
    }
}

unsafe extern "system" fn get_param_def_value(
    this: This,
    method: c_long,
    parameter: c_long,
    value: *mut Variant,
) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.default_value(method, parameter, value)) }
}

unsafe extern "system" fn has_ret_val(this: This, number: c_long) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.method(number).is_some_and(|method| method.has_result)) }
}

unsafe extern "system" fn call_as_proc(this: This, method: c_long, arguments: *mut Variant, count: c_long) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.call(method, arguments, count, None)) }
}

unsafe extern "system" fn call_as_func(
    this: This,
    method: c_long,
    result: *mut Variant,
    arguments: *mut Variant,
    count: c_long,
) -> bool {
    // SAFETY: see the module.
    unsafe { on(this, EXTENDER, false, |object| object.call(method, arguments, count, Some(result))) }
}

unsafe extern "system" fn set_locale(this: This, locale: *const Unit) {
    // SAFETY: see the module.
    unsafe {
        on(this, LOCALE, (), |object| {
            if let Some(locale) = text::terminated(locale) {
                object.set_locale(&locale);
            }
        })
    }
}

unsafe extern "system" fn set_user_interface_language_code(this: This, code: *const Unit) {
    // SAFETY: see the module.
    unsafe {
        on(this, LANGUAGE, (), |object| {
            if let Some(code) = text::terminated(code) {
                object.set_language(&code);
            }
        })
    }
}
