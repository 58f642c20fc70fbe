//! What 1C sees of the add-in: the class `LicenceExtension`.
//! No pointer of the Native API comes here.

use crate::native::{Component, Failure, Method, Property, Value};

/// The add-in's one class.
pub struct LicenceExtension;

impl Component for LicenceExtension {
    const NAME: &'static str = "LicenceExtension";
    const PROPERTIES: &'static [Property<Self>] = &[Property::read_only("Version", "Версия", Self::version)];
    const METHODS: &'static [Method<Self>] =
        &[Method::function("CheckVersion", "ПроверитьВерсию", 1, &[], Self::check_version)];

    fn create() -> Self {
        Self
    }
}

impl LicenceExtension {
    fn version(&mut self) -> Result<Value, Failure> {
        Ok(licence::version::VERSION.into())
    }

    /// True if this version is at least the required one; Неопределено if that is no version.
    fn check_version(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let required = arguments.first().and_then(Value::as_text);
        let enough = required.and_then(|required| licence::version::at_least(licence::version::VERSION, required));
        Ok(enough.map_or(Value::Undefined, Value::Bool))
    }
}
