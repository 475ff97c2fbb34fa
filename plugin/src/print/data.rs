//! JSON and YAML.

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::PrintError;

/// JSON with kubectl's indentation of four blanks, ending in a line feed.
pub(super) fn json(value: &impl Serialize) -> Result<String, PrintError> {
    let mut bytes = Vec::with_capacity(4096);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut serializer).map_err(|error| PrintError::Encode(error.to_string()))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| PrintError::Encode(error.to_string()))
}

/// YAML, ending in a line feed. Long lines are not folded, as in kubectl: people grep them.
pub(super) fn yaml(value: &impl Serialize) -> Result<String, PrintError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text =
        serde_saphyr::to_string_with_options(value, options).map_err(|error| PrintError::Encode(error.to_string()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_is_indented_as_kubectl_does() {
        let text = super::json(&json!({"a": [1, {}], "b": []})).unwrap();
        assert_eq!(text, "{\n    \"a\": [\n        1,\n        {}\n    ],\n    \"b\": []\n}\n");
    }

    #[test]
    fn yaml_quotes_what_would_read_as_something_else() {
        for text in [
            "7",
            "1e3",
            "0x10",
            "010",
            "yes",
            "no",
            "on",
            "true",
            "null",
            "~",
            "",
            " a",
            "a: b",
            "a #b",
            "1.5",
            "2026-11-23",
            "::1",
            "fd00::/64",
            "::ffff:10.0.0.1",
            "10:20:30",
            ":",
            "-",
            "- a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "{a}",
            "[a]",
            "a\nb",
            "a\nb\n",
            "\na",
            "a\tb",
            "\u{feff}a",
            "=",
            "<<",
            "0b1",
            "1_000",
            ".inf",
            ".nan",
            "NaN",
            "---",
            "...",
        ] {
            let written = yaml(&json!({"key": text, text: [text]})).unwrap();
            let read: Value = serde_saphyr::from_str(&written).unwrap_or_else(|e| panic!("{text:?}: {e}\n{written}"));
            assert_eq!(read, json!({"key": text, text: [text]}), "{written}");
        }
    }

    #[test]
    fn yaml_does_not_fold_long_lines() {
        let long = "word ".repeat(60).trim_end().to_owned();
        assert_eq!(yaml(&json!({"a": long})).unwrap(), format!("a: {long}\n"));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "(?s).{0,20}".prop_map(Value::from),
            "[0-9a-fA-F:x._~-]{0,12}".prop_map(Value::from),
            "[ \n\ta#:'\"|>-]{0,12}".prop_map(Value::from),
            "([a-z]{1,9} ){0,30}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(?s).{0,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn yaml_reads_back_equal(value in any_value()) {
            let written = yaml(&value).unwrap();
            let read: Value = serde_saphyr::from_str(&written).map_err(|e| TestCaseError::fail(format!("{e}\n{written}")))?;
            prop_assert_eq!(read, value, "{}", written);
        }

        #[test]
        fn json_reads_back_equal(value in any_value()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&super::json(&value).unwrap()).unwrap(), value);
        }
    }
}
