//! What a component is to the rest of the add-in: a class with tables of members, written in safe code.
//! Nothing here knows pointers, vtables or the host's memory.

use std::ffi::c_long;

use super::value::Value;

/// A class of components that 1C can create.
///
/// 1C calls one object from one thread at a time; calls on different objects run in parallel. Every panic is caught at
/// the border and becomes an error of 1C, and the object lives on: keep the state sound between statements.
pub trait Component: Send + Sized + 'static {
    /// The name in `Новый("AddIn.<symbolic name>.<NAME>")`; ASCII, without `|`.
    const NAME: &'static str;
    /// Properties in their order of numbering.
    const PROPERTIES: &'static [Property<Self>];
    /// Methods in their order of numbering.
    const METHODS: &'static [Method<Self>];

    /// Makes an object. 1C makes one already when it attaches the library: be quick and have no side effects.
    fn create() -> Self;

    /// The host has introduced itself. May be called again with news of the same host. Be quick, no side effects.
    fn init(&mut self, _host: &HostInfo) {}

    /// The locale of the session, `ru_RU` or `rus_RUS`.
    fn set_locale(&mut self, _locale: &str) {}

    /// The language of the user interface, `ru` or `en`.
    fn set_language(&mut self, _code: &str) {}

    /// A call was an error of the calling code: of arguments, of a member, or a panic inside. The host is told after this.
    fn failed(&mut self, _error: &licence::Error) {}

    /// What a call has promised could not be made: 1C gets Неопределено, and this is the refusal.
    fn refused(&mut self, _error: licence::Error) {}

    /// The object's last call: join all threads here, as the library may be unmapped right after. Comes once, also
    /// from hosts that destroy an object without saying Done, before the drop; not if `init` never came.
    fn done(&mut self) {}
}

/// The two names of a member. Lookups ignore case in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The international name, alias 0 of the Native API.
    pub english: &'static str,
    /// The Russian name, alias 1.
    pub russian: &'static str,
}

impl Names {
    /// The name under an alias number of the Native API: 0 international, 1 Russian.
    pub(super) fn alias(self, alias: c_long) -> Option<&'static str> {
        match alias {
            0 => Some(self.english),
            1 => Some(self.russian),
            _ => None,
        }
    }

    fn matches(self, name: &str) -> bool {
        same_name(self.english, name) || same_name(self.russian, name)
    }
}

/// True if two names differ in case only, in any alphabet.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

/// Reads a property.
pub type Get<C> = fn(&mut C) -> Result<Value, Failure>;
/// Writes a property.
pub type Set<C> = fn(&mut C, Value) -> Result<(), Failure>;
/// Runs a method. The arguments are exactly as many as the method declares, defaults filled in; they may be taken
/// ([`Value::take`]) and are not written back to 1C.
pub type Call<C> = fn(&mut C, &mut [Value]) -> Result<Value, Failure>;

/// A property of class `C`.
pub struct Property<C: 'static> {
    names: Names,
    get: Option<Get<C>>,
    set: Option<Set<C>>,
}

impl<C> Property<C> {
    /// A property that 1C can only read.
    pub const fn read_only(english: &'static str, russian: &'static str, get: Get<C>) -> Self {
        Self { names: Names { english, russian }, get: Some(get), set: None }
    }

    /// A property that 1C can only write.
    pub const fn write_only(english: &'static str, russian: &'static str, set: Set<C>) -> Self {
        Self { names: Names { english, russian }, get: None, set: Some(set) }
    }

    /// A property that 1C can read and write.
    pub const fn new(english: &'static str, russian: &'static str, get: Get<C>, set: Set<C>) -> Self {
        Self { names: Names { english, russian }, get: Some(get), set: Some(set) }
    }

    /// Its names.
    pub fn names(&self) -> Names {
        self.names
    }

    /// Whether 1C can read it, and write it.
    pub fn access(&self) -> (bool, bool) {
        (self.get.is_some(), self.set.is_some())
    }
}

/// The default of an optional parameter. Never Неопределено: hosts read that as "there is no default".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preset {
    /// Булево.
    Bool(bool),
    /// Число.
    Int(i32),
    /// Строка.
    Text(&'static str),
}

impl Preset {
    /// The default as a value.
    pub fn value(self) -> Value {
        match self {
            Preset::Bool(flag) => Value::Bool(flag),
            Preset::Int(number) => Value::Int(number.into()),
            Preset::Text(text) => Value::from(text),
        }
    }
}

/// A method of class `C`.
pub struct Method<C: 'static> {
    names: Names,
    required: usize,
    optional: &'static [Preset],
    has_result: bool,
    call: Call<C>,
}

impl<C> Method<C> {
    /// A method with a result: `required` parameters, then those that `optional` gives defaults for.
    pub const fn function(
        english: &'static str,
        russian: &'static str,
        required: usize,
        optional: &'static [Preset],
        call: Call<C>,
    ) -> Self {
        Self { names: Names { english, russian }, required, optional, has_result: true, call }
    }

    /// A method without a result; what `call` returns is dropped.
    pub const fn procedure(
        english: &'static str,
        russian: &'static str,
        required: usize,
        optional: &'static [Preset],
        call: Call<C>,
    ) -> Self {
        Self { names: Names { english, russian }, required, optional, has_result: false, call }
    }

    /// Its names.
    pub fn names(&self) -> Names {
        self.names
    }

    /// How many arguments it takes, from … to.
    pub fn arguments(&self) -> (usize, usize) {
        (self.required, self.required + self.optional.len())
    }
}

/// Why a call is an error of the 1C code that made it: it becomes a run-time error there, with the error's text in the
/// language of the session.
///
/// On purpose there is no conversion from [`licence::Error`]: a refusal (no licence, no server) is no failure but an
/// ordinary value, and the component keeps its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub licence::Error);

/// What the host tells of itself; each part may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// Version of the platform, such as `8.3.27.1508`.
    pub version: Option<String>,
    /// The browser, in a web client.
    pub user_agent: Option<String>,
    /// Kind of the application.
    pub application: Application,
    /// True if the library runs in a process of its own, false if inside the application's.
    pub isolated: Option<bool>,
}

/// Kind of the 1C application that loaded the library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Application {
    #[default]
    Unknown,
    ThinClient,
    ThickClient,
    WebClient,
    Server,
    ExternalConnection,
    MobileClient,
    MobileServer,
}

/// One class of the library's list.
pub struct Class {
    pub(super) name: &'static str,
    pub(super) create: fn() -> Box<dyn AnyComponent>,
}

impl Class {
    /// The list entry of `C`.
    pub const fn of<C: Component>() -> Self {
        Self { name: C::NAME, create: || Box::new(C::create()) }
    }
}

/// How a method is declared.
#[derive(Clone, Copy)]
pub(super) struct Signature {
    pub names: Names,
    pub required: usize,
    pub optional: &'static [Preset],
    pub has_result: bool,
}

impl Signature {
    pub fn parameters(&self) -> usize {
        self.required + self.optional.len()
    }
}

/// How a property is declared.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub names: Names,
    pub readable: bool,
    pub writable: bool,
}

/// A component of any class, as the border sees it. Members go by number; an unknown number is `None`.
pub(super) trait AnyComponent: Send {
    fn properties(&self) -> usize;
    fn property(&self, number: usize) -> Option<Access>;
    fn find_property(&self, name: &str) -> Option<usize>;
    fn get(&mut self, number: usize) -> Option<Result<Value, Failure>>;
    fn set(&mut self, number: usize, value: Value) -> Option<Result<(), Failure>>;
    fn methods(&self) -> usize;
    fn method(&self, number: usize) -> Option<Signature>;
    fn find_method(&self, name: &str) -> Option<usize>;
    fn call(&mut self, number: usize, arguments: &mut [Value]) -> Option<Result<Value, Failure>>;
    fn init(&mut self, host: &HostInfo);
    fn set_locale(&mut self, locale: &str);
    fn set_language(&mut self, code: &str);
    fn failed(&mut self, error: &licence::Error);
    fn refused(&mut self, error: licence::Error);
    fn done(&mut self);
}

impl<C: Component> AnyComponent for C {
    fn properties(&self) -> usize {
        C::PROPERTIES.len()
    }

    fn property(&self, number: usize) -> Option<Access> {
        let property = C::PROPERTIES.get(number)?;
        Some(Access { names: property.names, readable: property.get.is_some(), writable: property.set.is_some() })
    }

    fn find_property(&self, name: &str) -> Option<usize> {
        C::PROPERTIES.iter().position(|property| property.names.matches(name))
    }

    fn get(&mut self, number: usize) -> Option<Result<Value, Failure>> {
        Some((C::PROPERTIES.get(number)?.get?)(self))
    }

    fn set(&mut self, number: usize, value: Value) -> Option<Result<(), Failure>> {
        Some((C::PROPERTIES.get(number)?.set?)(self, value))
    }

    fn methods(&self) -> usize {
        C::METHODS.len()
    }

    fn method(&self, number: usize) -> Option<Signature> {
        let Method { names, required, optional, has_result, call: _ } = *C::METHODS.get(number)?;
        Some(Signature { names, required, optional, has_result })
    }

    fn find_method(&self, name: &str) -> Option<usize> {
        C::METHODS.iter().position(|method| method.names.matches(name))
    }

    fn call(&mut self, number: usize, arguments: &mut [Value]) -> Option<Result<Value, Failure>> {
        Some((C::METHODS.get(number)?.call)(self, arguments))
    }

    fn init(&mut self, host: &HostInfo) {
        Component::init(self, host);
    }

    fn set_locale(&mut self, locale: &str) {
        Component::set_locale(self, locale);
    }

    fn set_language(&mut self, code: &str) {
        Component::set_language(self, code);
    }

    fn failed(&mut self, error: &licence::Error) {
        Component::failed(self, error);
    }

    fn refused(&mut self, error: licence::Error) {
        Component::refused(self, error);
    }

    fn done(&mut self) {
        Component::done(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_both_alphabets() {
        let names = Names { english: "CheckVersion", russian: "ПроверитьВерсию" };
        for name in ["CheckVersion", "checkversion", "ПроверитьВерсию", "ПРОВЕРИТЬВЕРСИЮ", "проверитьверсию"]
        {
            assert!(names.matches(name), "{name}");
        }
        for name in ["", "CheckVersio", "CheckVersion2", "ПроверитьВерси"] {
            assert!(!names.matches(name), "{name}");
        }
        assert_eq!(names.alias(0), Some("CheckVersion"));
        assert_eq!(names.alias(1), Some("ПроверитьВерсию"));
        assert_eq!(names.alias(2), None);
        assert_eq!(names.alias(-1), None);
    }
}
