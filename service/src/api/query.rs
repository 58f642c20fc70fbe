//! The one grammar of all lists: `?KeyID=672B&IsServer=true&fields=ID,UserName&sort=-LastUsed&limit=100&offset=0&format=csv`.
//! Pure. Names and types of the columns come from the type of the rows, so they can't be others than those that are served.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use licence::Time;
use licence::error::{Code, Error, Result};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value};

use super::csv;

/// Most rows that one answer can be asked for.
pub const MAX_LIMIT: usize = 100_000;
/// Names that shape the list; no column is called so.
const SHAPING: [&str; 6] = ["fields", "sort", "limit", "offset", "format", "lang"];

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared without regard to case.
    Text,
    /// A number.
    Number,
    /// Yes or no.
    Truth,
    /// A moment, ISO 8601.
    Moment,
}

/// A column of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, that of the field.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// A list: its name in the answer, its columns, and the parameters that its source understands besides.
#[derive(Debug)]
pub struct Table {
    /// `Sessions` …
    pub name: &'static str,
    /// The columns in the order of the fields.
    pub columns: Vec<Column>,
    /// Parameters of this list alone.
    pub own: Vec<&'static str>,
}

/// How a list is asked for.
#[derive(Debug, Default)]
pub struct Shape<'a> {
    /// Columns with the values that a row may have there.
    filters: Vec<(&'a Column, Vec<Value>)>,
    fields: Vec<&'a Column>,
    /// Columns with whether the greatest comes first.
    sort: Vec<(&'a Column, bool)>,
    offset: usize,
    limit: Option<usize>,
    /// Whether it is to be CSV.
    pub csv: bool,
}

/// Rows as they were asked for, and how many there were before they were cut to a page.
pub struct Page<'a> {
    table: &'a Table,
    fields: &'a [&'a Column],
    rows: Vec<Map<String, Value>>,
    /// Rows that met the filters.
    pub total: usize,
}

/// The settings by which types are described: JSON Schema as OpenAPI 3.1 wants it.
pub fn schema_settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings
}

/// The description of an object: `T` itself, or the first of its alternatives.
pub fn object_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = T::json_schema(generator).to_value();
    while schema.get("properties").is_none() {
        let next = schema.pointer("/anyOf/0").unwrap_or(&schema);
        let name = next.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        let Some(found) = name.and_then(|name| generator.definitions().get(name)).cloned() else { break };
        schema = found;
    }
    schema
}

impl Table {
    /// The list of rows of type `T`.
    pub fn of<T: JsonSchema>(name: &'static str, own: Vec<&'static str>) -> Table {
        let schema = object_of::<T>(&mut schema_settings().for_serialize().into_generator());
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        // What is required stands in the order of the fields; the map is sorted by name.
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut seen = BTreeSet::new();
        let names = required.chain(properties.keys().map(String::as_str)).filter(|name| seen.insert(*name));
        let column = |name: &str| Column { name: name.to_owned(), kind: kind_of(properties.get(name)) };
        Table { name, columns: names.map(column).collect(), own }
    }

    /// Reads how the list is asked for.
    pub fn shape(&self, query: &[(String, String)]) -> Result<Shape<'_>> {
        let mut shape = Shape::default();
        for (name, value) in query {
            // Libraries of web pages add it, so that no cache answers.
            if name == "_" {
                continue;
            }
            match self.known(name) {
                "fields" => {
                    let mut seen = BTreeSet::new();
                    let columns = self.named(value)?.into_iter().map(|(column, _)| column);
                    shape.fields = columns.filter(|column| seen.insert(&column.name)).collect();
                }
                "sort" => shape.sort = self.named(value)?,
                "limit" => shape.limit = Some(count(name, value, 1)?),
                "offset" => shape.offset = count(name, value, 0)?,
                "format" => {
                    shape.csv = match value.as_str() {
                        "json" => false,
                        "csv" => true,
                        _ => return Err(wrong(name, value, "json, csv")),
                    }
                }
                "lang" => {}
                name if self.own.contains(&name) => {}
                name => {
                    let column = self.column(name).ok_or_else(|| self.unknown(name, true))?;
                    let wanted = column.kind.read(name, value)?;
                    match shape.filters.iter_mut().find(|(known, _)| known.name == column.name) {
                        Some((_, values)) => values.push(wanted),
                        None => shape.filters.push((column, vec![wanted])),
                    }
                }
            }
        }
        if shape.fields.is_empty() {
            shape.fields = self.columns.iter().collect();
        }
        Ok(shape)
    }

    /// The name of a parameter as it is declared, however its letters are written.
    fn known<'a>(&self, name: &'a str) -> &'a str {
        let declared = SHAPING.iter().chain(&self.own).copied();
        declared.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name)
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    fn named(&self, list: &str) -> Result<Vec<(&Column, bool)>> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names
            .map(|name| {
                let (name, descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
                Ok((self.column(name).ok_or_else(|| self.unknown(name, false))?, descending))
            })
            .collect()
    }

    fn unknown(&self, name: &str, parameters: bool) -> Error {
        let columns = self.columns.iter().map(|column| column.name.as_str());
        let others = SHAPING.iter().chain(&self.own).copied().filter(|_| parameters);
        let known: Vec<&str> = columns.chain(others).collect();
        Error::new(Code::UnknownName).with(name).with(known.join(", "))
    }

    /// The rows that were asked for.
    pub fn page<'a>(&'a self, shape: &'a Shape<'_>, rows: impl Iterator<Item = Map<String, Value>>) -> Page<'a> {
        let meets = |row: &Map<String, Value>| {
            shape.filters.iter().all(|(column, wanted)| {
                wanted.iter().any(|wanted| column.kind.compare(column.of(row), wanted) == Ordering::Equal)
            })
        };
        let mut rows: Vec<Map<String, Value>> = rows.filter(meets).collect();
        rows.sort_by(|a, b| {
            let by_column = shape.sort.iter().map(|(column, descending)| {
                let order = column.kind.compare(column.of(a), column.of(b));
                if *descending { order.reverse() } else { order }
            });
            by_column.fold(Ordering::Equal, Ordering::then)
        });
        let total = rows.len();
        let rows = rows.into_iter().skip(shape.offset).take(shape.limit.unwrap_or(usize::MAX)).collect();
        Page { table: self, fields: &shape.fields, rows, total }
    }
}

impl Column {
    /// The value of a row in this column.
    fn of<'a>(&self, row: &'a Map<String, Value>) -> &'a Value {
        static NONE: Value = Value::Null;
        row.get(&self.name).unwrap_or(&NONE)
    }
}

fn kind_of(schema: Option<&Value>) -> Kind {
    let Some(schema) = schema else { return Kind::Text };
    let named = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    };
    match named {
        Some("integer" | "number") => Kind::Number,
        Some("boolean") => Kind::Truth,
        Some("string") if schema.get("format").and_then(Value::as_str) == Some("date-time") => Kind::Moment,
        _ => Kind::Text,
    }
}

fn wrong(name: &str, value: &str, allowed: impl std::fmt::Display) -> Error {
    Error::new(Code::WrongValue).with(name).with(value).with(allowed)
}

fn count(name: &str, value: &str, least: usize) -> Result<usize> {
    let number = value.parse().ok().filter(|number| (least..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| wrong(name, value, format_args!("{least}–{MAX_LIMIT}")))
}

impl Kind {
    /// What a filter of such a column takes.
    pub fn schema(self) -> Value {
        match self {
            Kind::Text => serde_json::json!({ "type": "string" }),
            Kind::Number => serde_json::json!({ "type": "number" }),
            Kind::Truth => serde_json::json!({ "type": "boolean" }),
            Kind::Moment => serde_json::json!({ "type": "string", "format": "date-time" }),
        }
    }

    /// The value that a filter means; an empty one means that there is none.
    fn read(self, name: &str, text: &str) -> Result<Value> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let read = match self {
            Kind::Text => Some(text.into()),
            Kind::Number => {
                text.parse::<i64>().ok().map(Value::from).or_else(|| text.parse::<f64>().ok().map(Value::from))
            }
            Kind::Truth => licence::settings::flag(text).map(Value::from),
            Kind::Moment => text.parse::<Time>().ok().map(|time| time.to_string().into()),
        };
        let expected = match self {
            Kind::Text => "",
            Kind::Number => "1, 2.5 …",
            Kind::Truth => "true, false",
            Kind::Moment => "2018-04-02T20:41:13.272Z",
        };
        read.filter(|value| !value.is_null()).ok_or_else(|| wrong(name, text, expected))
    }

    /// How two values of such a column follow each other; none comes first.
    fn compare(self, a: &Value, b: &Value) -> Ordering {
        match (a.is_null(), b.is_null()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match self {
            Kind::Number => {
                let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
                number(a).total_cmp(&number(b))
            }
            Kind::Truth => a.as_bool().cmp(&b.as_bool()),
            // All times are written the same way, so their order is that of their texts.
            Kind::Moment => text(a).cmp(&text(b)),
            Kind::Text => text(a).to_lowercase().cmp(&text(b).to_lowercase()),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Row<'a>(&'a [&'a Column], &'a Map<String, Value>);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for column in self.0 {
            map.serialize_entry(&column.name, column.of(self.1))?;
        }
        map.end()
    }
}

struct Rows<'a>(&'a Page<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.rows.len()))?;
        for row in &self.0.rows {
            list.serialize_element(&Row(self.0.fields, row))?;
        }
        list.end()
    }
}

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.table.name, &Rows(self))?;
        map.end()
    }
}

impl Page<'_> {
    /// The rows as CSV (RFC 4180): a line with the names, then one per row.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            for (at, cell) in cells.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&cell);
            }
            out.push_str("\r\n");
        };
        line(&mut self.fields.iter().map(|column| column.name.clone()));
        for row in &self.rows {
            line(&mut self.fields.iter().map(|column| cell(column.of(row))));
        }
        out
    }
}

/// One cell. Numbers are ours, whatever their sign; all else may be somebody's word.
fn cell(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => text(value),
        Value::String(_) | Value::Array(_) | Value::Object(_) => csv::cell(&text(value)),
    }
}

#[cfg(test)]
mod tests {
    use licence::api::{LicenceEntry, SessionInfo};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[derive(serde::Serialize, JsonSchema)]
    #[serde(rename_all = "PascalCase")]
    struct Line {
        name: Option<String>,
        number: u32,
        is_server: bool,
        at: Time,
    }

    fn table() -> Table {
        Table::of::<Line>("Lines", vec!["since"])
    }

    fn pairs(query: &str) -> Vec<(String, String)> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn rows() -> Vec<Map<String, Value>> {
        let lines = [
            Line { name: Some("Анна".into()), number: 10, is_server: true, at: Time(1000) },
            Line { name: None, number: 9, is_server: false, at: Time(2000) },
            Line { name: Some("=1+\"a\"".into()), number: 100, is_server: false, at: Time(3000) },
        ];
        lines.into_iter().map(|line| serde_json::to_value(line).unwrap().as_object().unwrap().clone()).collect()
    }

    fn numbers(query: &str) -> Vec<u64> {
        let table = table();
        let query = pairs(query);
        let shape = table.shape(&query).unwrap();
        table.page(&shape, rows().into_iter()).rows.iter().map(|row| row["Number"].as_u64().unwrap()).collect()
    }

    #[test]
    fn names_and_types_of_columns_are_those_of_the_rows() {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let expected =
            [("Name", Kind::Text), ("Number", Kind::Number), ("IsServer", Kind::Truth), ("At", Kind::Moment)];
        assert_eq!(table().columns, expected.map(|(name, kind)| column(name, kind)));
        let sessions = Table::of::<SessionInfo>("Sessions", Vec::new());
        assert_eq!((sessions.columns[0].name.as_str(), sessions.columns.len()), ("ID", 15));
        let licences = Table::of::<LicenceEntry>("Licences", Vec::new());
        let names: Vec<&str> = licences.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names[..4], ["Type", "FileName", "Enabled", "IsBlank"]);
        assert!(names.contains(&"SupportDate"), "{names:?}");
    }

    #[test]
    fn rows_are_filtered_by_equal_values_of_their_columns() {
        assert_eq!(numbers("IsServer=true"), [10]);
        assert_eq!(numbers("Name=анна"), [10], "case makes no difference");
        assert_eq!(numbers("Name="), [9], "an empty value means none");
        assert_eq!(numbers("Number=9&Number=10"), [10, 9], "several values of one name: any of them");
        assert_eq!(numbers("Number=9&IsServer=true"), [0; 0], "several names: all of them");
        assert_eq!(numbers("At=1970-01-01T00:00:02Z"), [9], "another way to write the same moment");
    }

    #[test]
    fn rows_are_sorted_and_paged_after_filtering() {
        assert_eq!(numbers("sort=Number"), [9, 10, 100], "numbers are no texts");
        assert_eq!(numbers("sort=-At&limit=1&offset=1"), [9]);
        assert_eq!(numbers("sort=IsServer,-Number"), [100, 9, 10]);
        assert_eq!(numbers("IsServer=false&limit=1"), [9]);
        assert_eq!(numbers("offset=99"), [0; 0]);
        let (table, query) = (table(), pairs("limit=1&IsServer=false"));
        assert_eq!(table.page(&table.shape(&query).unwrap(), rows().into_iter()).total, 2);
    }

    #[test]
    fn fields_keep_the_order_that_was_asked_for() {
        let (table, query) = (table(), pairs("fields=Number,Name&limit=2"));
        let shape = table.shape(&query).unwrap();
        let page = table.page(&shape, rows().into_iter());
        let text = serde_json::to_string(&page).unwrap();
        assert_eq!(text, r#"{"Lines":[{"Number":10,"Name":"Анна"},{"Number":9,"Name":null}]}"#);
    }

    #[test]
    fn csv_quotes_what_must_be_quoted_and_disarms_formulas() {
        let (table, query) = (table(), pairs("format=csv&fields=Name,Number&since=x"));
        let shape = table.shape(&query).unwrap();
        assert!(shape.csv);
        let text = table.page(&shape, rows().into_iter()).csv();
        assert_eq!(text, "Name,Number\r\nАнна,10\r\n,9\r\n\"'=1+\"\"a\"\"\",100\r\n");
        assert_eq!(cell(&json!(-5)), "-5", "a number is no formula");
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let table = table();
        let refused = |query: &str| table.shape(&pairs(query)).unwrap_err();
        let error = refused("Nam=x");
        assert_eq!((error.code, error.args[0].as_str()), (Code::UnknownName, "Nam"));
        for name in ["Name", "IsServer", "since", "limit"] {
            assert!(error.args[1].split(", ").any(|known| known == name), "{error}");
        }
        assert_eq!(refused("fields=Name,x").code, Code::UnknownName);
        for query in
            ["Number=x", "IsServer=2", "At=noon", "limit=0", "limit=-1", "offset=x", "limit=999999", "format=xml"]
        {
            assert_eq!(refused(query).code, Code::WrongValue, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_answered_or_refused(name in "fields|sort|Name|Number|At|limit|[a-z]{1,3}", value in ".{0,12}") {
            let (table, query) = (table(), vec![(name, value)]);
            if let Ok(shape) = table.shape(&query) {
                let page = table.page(&shape, rows().into_iter());
                prop_assert!(page.rows.len() <= 3 && !page.csv().is_empty());
            }
        }
    }
}
