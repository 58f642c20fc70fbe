//! Licences of the server and control of the session's own: lists and numbers, what a licence must be like, access codes, values
//! that a vendor has put into a licence.

use licence::accounting::Demands;
use licence::protocol::message::{Call, Control, Outcome};

use super::LicenceExtension;
use super::arguments::{flag_at, optional_number_at, optional_text_at, text_at};
use super::keys::key_named;
use super::server::json;
use crate::client::series::unexpected;
use crate::client::session::Terms;
use crate::native::{Failure, Value};

impl LicenceExtension {
    /// The keys of the server, JSON with the fields of the REST API: of this series or of all, with those that can't be used or without.
    pub(super) fn licences(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetLicences", "ПолучитьЛицензии");
        let (all_series, only_available) = (flag_at(arguments, 1, names)?, flag_at(arguments, 2, names)?);
        self.on_series(arguments, names, Value::Undefined, |slot, _| {
            match slot.started.inquire(slot.session(), &Call::Licences { all_series, only_available })? {
                Outcome::Licences { licences } => json(&licences),
                _ => Err(unexpected()),
            }
        })
    }

    /// Numbers of the series at its server, JSON.
    pub(super) fn counters(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(arguments, ("GetCounters", "ПолучитьСчетчики"), Value::Undefined, |slot, _| {
            match slot.started.inquire(slot.session(), &Call::Counters)? {
                Outcome::Counters(counters) => json(&counters),
                _ => Err(unexpected()),
            }
        })
    }

    /// What the licence must be like; what is left out is not demanded. A session that has a licence moves to one that fits, or the
    /// call is refused and nothing changes.
    pub(super) fn set_control_parameters(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetControlParameters", "УстановитьПараметрыКонтроляЛицензии");
        let demands = Demands {
            itn: optional_text_at(arguments, 2, names)?,
            iec: optional_text_at(arguments, 3, names)?,
            product_version: optional_number_at(arguments, 4, names)?,
            reg_no: optional_number_at(arguments, 5, names)?,
            key_no: optional_number_at(arguments, 6, names)?,
        };
        let control = Control { key_only: flag_at(arguments, 1, names)?, demands: demands.tidied() };
        self.on_series(arguments, names, Value::Bool(false), |slot, _| {
            let access_code = slot.terms().access_code.clone();
            slot.set_terms(Terms { control, access_code }).map(|()| Value::Bool(true))
        })
    }

    /// The access code; an empty one takes it back. Counts as the control parameters do.
    pub(super) fn set_access_code(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetAccessCode", "УстановитьКодДоступа");
        let access_code = optional_text_at(arguments, 1, names)?;
        self.on_series(arguments, names, Value::Bool(false), |slot, _| {
            let control = slot.terms().control.clone();
            slot.set_terms(Terms { control, access_code }).map(|()| Value::Bool(true))
        })
    }

    /// Number of the session's key, as text; asks nobody.
    pub(super) fn key_no(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(arguments, ("GetKeyNo", "ПолучитьНомерКлюча"), Value::Undefined, |slot, _| {
            slot.key_no().map(|number| number.to_string().into())
        })
    }

    /// Whether the session has its licence now.
    pub(super) fn check_session_licence(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(
            arguments,
            ("CheckSessionLicence", "ПроверитьЛицензиюСеанса"),
            Value::Bool(false),
            |slot, _| slot.licence().map(|_| Value::Bool(true)),
        )
    }

    /// A value that the vendor has put into a licence; Неопределено when there is none. The key is named by its number; the name of
    /// the series stands for its main key, and without a name it is the session's own.
    pub(super) fn parameter(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetParameter", "ПолучитьПараметр");
        let key = optional_text_at(arguments, 1, names)?;
        let name = text_at(arguments, 2, names.0, names.1)?.trim().to_owned();
        let or_main = flag_at(arguments, 3, names)?;
        self.on_series(arguments, names, Value::Undefined, |slot, _| {
            let call = Call::Parameter { key_no: key_named(slot, key, names)?, name, or_main };
            match slot.started.inquire(slot.session(), &call)? {
                Outcome::Value { value } => Ok(value.map_or(Value::Undefined, Value::Text)),
                _ => Err(unexpected()),
            }
        })
    }
}
