//! A template applied to a value, with kubectl's rules: a missing key is nothing, an index beyond the
//! list is an error, and so is a comparison of different types.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{Block, Compare, Filter, Path, Slice, Step};

/// What a block leads to.
pub(super) type Results<'a> = Vec<Cow<'a, Value>>;

pub(super) fn blocks<'a>(blocks: &'a [Block], value: &'a Value, out: &mut Vec<Results<'a>>) -> Result<(), String> {
    for block in blocks {
        match block {
            Block::Text(text) => out.push(vec![Cow::Owned(Value::from(text.as_str()))]),
            Block::Path(path) => out.push(walk(path, vec![Cow::Borrowed(value)])?),
            Block::Range(path, inner) => {
                for item in walk(path, vec![Cow::Borrowed(value)])? {
                    match item {
                        Cow::Borrowed(item) => self::blocks(inner, item, out)?,
                        Cow::Owned(item) => {
                            let mut own = Vec::new();
                            self::blocks(inner, &item, &mut own)?;
                            out.extend(own.into_iter().map(owned));
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn owned<'a>(results: Results<'_>) -> Results<'a> {
    results.into_iter().map(|value| Cow::Owned(value.into_owned())).collect()
}

fn walk<'a>(path: &'a Path, mut input: Results<'a>) -> Result<Results<'a>, String> {
    for step in path {
        input = take(step, input)?;
    }
    Ok(input)
}

fn take<'a>(step: &'a Step, input: Results<'a>) -> Result<Results<'a>, String> {
    let mut out = Results::new();
    match step {
        Step::Text(text) => out.push(Cow::Owned(Value::from(text.as_str()))),
        Step::Each(value) => out.extend(input.iter().map(|_| Cow::Borrowed(value))),
        Step::Field(name) => {
            out.extend(input.into_iter().filter_map(|value| part(value, |value| value.get(name.as_str()))));
        }
        Step::Wildcard => {
            for value in input {
                out.extend(children(value));
            }
        }
        Step::Descend => descend(input, &mut out),
        Step::Slice(slice) => {
            for value in input.into_iter().filter(|value| !value.is_null()) {
                let length = list(&value)?.len();
                out.extend(places(*slice, length)?.filter_map(|index| part(value.clone(), |value| value.get(index))));
            }
        }
        Step::Union(paths) => {
            for path in paths {
                out.extend(walk(path, input.clone())?);
            }
        }
        Step::Filter(filter) => {
            for value in input {
                for index in 0..list(&value)?.len() {
                    let Some(item) = part(value.clone(), |value| value.get(index)) else { continue };
                    if passes(filter, &item)? {
                        out.push(item);
                    }
                }
            }
        }
    }
    Ok(out)
}

/// A part of a value, borrowed where the value is.
fn part(value: Cow<'_, Value>, get: impl Fn(&Value) -> Option<&Value>) -> Option<Cow<'_, Value>> {
    match value {
        Cow::Borrowed(value) => get(value).map(Cow::Borrowed),
        Cow::Owned(value) => get(&value).cloned().map(Cow::Owned),
    }
}

/// The items of a list, or the values of an object in the order of their keys.
fn children(value: Cow<'_, Value>) -> Results<'_> {
    fn of(value: &Value) -> Vec<&Value> {
        match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| *key);
                fields.into_iter().map(|(_, value)| value).collect()
            }
            _ => Vec::new(),
        }
    }
    match value {
        Cow::Borrowed(value) => of(value).into_iter().map(Cow::Borrowed).collect(),
        Cow::Owned(value) => of(&value).into_iter().cloned().map(Cow::Owned).collect(),
    }
}

/// Every list and object that is not empty, each before what is in it.
fn descend<'a>(input: Results<'a>, out: &mut Results<'a>) {
    for value in input {
        let inside = children(value.clone());
        if !inside.is_empty() {
            out.push(value);
            descend(inside, out);
        }
    }
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{} is not a list", kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The places in a list of some length that a slice means.
fn places(slice: Slice, length: usize) -> Result<std::iter::StepBy<std::ops::Range<usize>>, String> {
    let signed = i64::try_from(length).unwrap_or(i64::MAX);
    let outside = |index: i64| format!("index {index} is outside a list of {length}");
    let from_end = |index: i64| if index < 0 { index.saturating_add(signed) } else { index };
    let (from, to, step) = match slice {
        Slice::At(index) => {
            let from = from_end(index);
            (from, from.saturating_add(1), 1)
        }
        Slice::Part { from, to, step } => {
            (from_end(from.unwrap_or(0)), from_end(to.unwrap_or(signed)), step.unwrap_or(1))
        }
    };
    let step = usize::try_from(step).ok().filter(|step| *step > 0).ok_or("the step of a slice must be above 0")?;
    if from == to {
        return Ok((0..0).step_by(step));
    }
    if from < 0 || from >= signed {
        return Err(outside(from));
    }
    if to < 0 || to > signed {
        return Err(outside(to.saturating_sub(1)));
    }
    if from > to {
        return Err(format!("a slice that starts at {from} and ends at {to} runs backwards"));
    }
    Ok((usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0)).step_by(step))
}

fn passes(filter: &Filter, item: &Value) -> Result<bool, String> {
    let results = |path| walk(path, vec![Cow::Borrowed(item)]);
    let one = |path| match results(path)?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone().into_owned())),
        _ => Err("a comparison takes one value on each side, not several".to_owned()),
    };
    match filter {
        Filter::Any(parts) => {
            for part in parts {
                if passes(part, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Filter::All(parts) => {
            for part in parts {
                if !passes(part, item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        // As kubectl: a path that cannot be followed leads nowhere.
        Filter::Exists(path) => Ok(results(path).is_ok_and(|found| !found.is_empty())),
        Filter::Matches(path, pattern) => match one(path)? {
            Some(Value::String(text)) => Ok(pattern.is_match(&text)),
            None | Some(Value::Null) => Ok(false),
            Some(other) => Err(format!("=~ takes a text, not {}", kind(&other))),
        },
        Filter::Compare(left, compare, right) => match (one(left)?, one(right)?) {
            (Some(left), Some(right)) => compared(&left, *compare, &right),
            _ => Ok(false),
        },
    }
}

fn compared(left: &Value, compare: Compare, right: &Value) -> Result<bool, String> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Null, _) | (_, Value::Null) => return Ok(false),
        (Value::Number(left), Value::Number(right)) => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64().partial_cmp(&right.as_f64()),
        },
        (Value::Bool(left), Value::Bool(right)) if matches!(compare, Compare::Equal | Compare::NotEqual) => {
            Some(left.cmp(right))
        }
        _ => return Err(format!("{} cannot be compared with {}", described(left), described(right))),
    };
    Ok(match compare {
        Compare::Equal => order == Some(Ordering::Equal),
        Compare::NotEqual => order != Some(Ordering::Equal),
        Compare::Less => order == Some(Ordering::Less),
        Compare::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Compare::Greater => order == Some(Ordering::Greater),
        Compare::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn integer(number: &serde_json::Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        _ => value.to_string(),
    }
}
