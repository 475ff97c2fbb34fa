//! Values as Go prints them, and strings as Go quotes them.

use serde_json::Value;

/// A result of a path: text as it is, lists and objects as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(|| number.to_string(), float),
        other => other.to_string(),
    }
}

/// A cell of custom-columns: Go's `fmt.Sprint`, `map[a:1 b:2]` and `[1 2]`.
pub(in super::super) fn sprint(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(sprint).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", sprint(value))).collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        other => text(other),
    }
}

/// `%v` of a float: the shortest digits, with an exponent below 1e-4 and from 1e6 on.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(power) if (-4..6).contains(&power) => number.to_string(),
        Ok(power) => format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs()),
        Err(_) => scientific,
    }
}

/// The text of a string in single or double quotes, given with them, with Go's escapes; `None` where
/// one is wrong.
pub(super) fn unquote(quoted: &[char]) -> Option<String> {
    let (quote, rest) = quoted.split_first()?;
    let mut chars = rest.strip_suffix(std::slice::from_ref(quote))?.iter().copied();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code = |digits: usize, first: Option<char>, radix: u32, chars: &mut dyn Iterator<Item = char>| {
            let text: String = first.into_iter().chain(chars).take(digits).collect();
            (text.len() == digits).then(|| u32::from_str_radix(&text, radix).ok()).flatten().and_then(char::from_u32)
        };
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' => '\\',
            c @ ('"' | '\'') if c == *quote => c,
            'x' => code(2, None, 16, &mut chars)?,
            'u' => code(4, None, 16, &mut chars)?,
            'U' => code(8, None, 16, &mut chars)?,
            c @ '0'..='7' => code(3, Some(c), 8, &mut chars)?,
            _ => return None,
        });
    }
    Some(out)
}
