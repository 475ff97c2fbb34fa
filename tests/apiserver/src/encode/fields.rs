//! The table of field numbers.

use std::{collections::HashMap, sync::OnceLock};

/// How a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Bool,
    Int,
    Bytes,
    Time,
    Quantity,
    IntOrString,
    RawJson,
    Message(String),
}

/// How often a field may occur, and what is written when it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurs {
    /// Written even when empty.
    Always,
    /// Written when set.
    IfSet,
    /// A list.
    List,
    /// A map with text keys.
    Map,
}

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// JSON name; none where the fields of the message stand in the parent's object.
    pub(super) name: Option<String>,
    pub(super) shape: Shape,
    pub(super) occurs: Occurs,
}

/// The fields of a message in order; nothing for a message that the table does not have.
pub(super) fn of(message: &str) -> Option<&'static [Field]> {
    static TABLE: OnceLock<HashMap<String, Vec<Field>>> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("fields.txt"))).get(message).map(Vec::as_slice)
}

fn parse(text: &str) -> HashMap<String, Vec<Field>> {
    let mut table: HashMap<String, Vec<Field>> = HashMap::new();
    let mut message = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(row) => table.entry(message.clone()).or_default().push(field(row)),
            None => line.clone_into(&mut message),
        }
    }
    table
}

fn field(row: &str) -> Field {
    let mut columns = row.split(' ');
    let mut column = || columns.next().unwrap_or_else(|| panic!("field table: {row:?} lacks a column"));
    let (number, name, kind) = (column(), column(), column());
    let (kind, occurs) = if let Some(kind) = kind.strip_prefix("list:") {
        (kind, Occurs::List)
    } else if let Some(kind) = kind.strip_prefix("map:") {
        (kind, Occurs::Map)
    } else if let Some(kind) = kind.strip_suffix('?') {
        (kind, Occurs::IfSet)
    } else {
        (kind, Occurs::Always)
    };
    Field {
        number: number.parse().unwrap_or_else(|_| panic!("field table: {row:?} has no number")),
        name: (name != "~").then(|| name.to_owned()),
        shape: shape(kind),
        occurs,
    }
}

fn shape(kind: &str) -> Shape {
    match kind {
        "string" => Shape::Text,
        "bool" => Shape::Bool,
        "int" => Shape::Int,
        "bytes" => Shape::Bytes,
        "time" | "microtime" => Shape::Time,
        "quantity" => Shape::Quantity,
        "intorstring" => Shape::IntOrString,
        "fieldsv1" | "rawextension" => Shape::RawJson,
        message => Shape::Message(message.to_owned()),
    }
}
