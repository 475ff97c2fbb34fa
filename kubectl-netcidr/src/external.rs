//! Networks outside the cluster that the user names.

use std::{fs, path::Path};

use netcore::{
    cidr::parse_list,
    ranges::{Confidence, Facts, Origin, RangeFact, Role},
};

use crate::reading::Error;

/// Adds the ranges of `--external`: each a range, a list of them, or a file with one per line.
pub(crate) fn add(named: &[String], facts: &mut Facts) -> Result<(), Error> {
    for text in named {
        let path = Path::new(text);
        if path.is_file() {
            let content = fs::read_to_string(path).map_err(|e| Error::External(text.clone(), e.to_string()))?;
            for (index, line) in content.lines().enumerate() {
                add_line(line, text, index + 1, facts)?;
            }
        } else {
            let origin = Origin::new("external", Confidence::B, "--external", text.as_str());
            add_ranges(text, &origin, facts).map_err(|reason| {
                Error::External(text.clone(), format!("{reason}, and there is no file of that name"))
            })?;
        }
    }
    Ok(())
}

/// One line of a file: a range, then perhaps a name for it. `#` starts a comment.
fn add_line(line: &str, file: &str, number: usize, facts: &mut Facts) -> Result<(), Error> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let mut words = line.split([',', ';', ' ', '\t']).filter(|word| !word.is_empty());
    let Some(range) = words.next() else { return Ok(()) };
    let name = words.collect::<Vec<_>>().join(" ");
    let field = if name.is_empty() { format!("line {number}") } else { format!("line {number}: {name}") };
    let origin = Origin::new("external", Confidence::B, file, field);
    add_ranges(range, &origin, facts).map_err(|reason| Error::External(format!("{file} line {number}"), reason))
}

fn add_ranges(text: &str, origin: &Origin, facts: &mut Facts) -> Result<(), String> {
    if let Some(error) = parse_list(text).into_iter().find_map(Result::err) {
        return Err(error.to_string());
    }
    facts.add_ranges(Role::External, text, origin);
    Ok(())
}

/// Adds another cluster's ranges as networks outside this one.
pub(crate) fn add_cluster(context: &str, other: &Facts, facts: &mut Facts) {
    let outside = other.ranges.iter().filter(|fact| {
        fact.share_of.is_none() && matches!(fact.role, Role::Pod | Role::Service | Role::Node | Role::Loadbalancer)
    });
    facts.ranges.extend(outside.map(|fact| RangeFact {
        role: Role::External,
        origin: Origin {
            source: "external",
            object: format!("context {context}"),
            field: format!("{} range of {}", crate::view::role(fact.role), fact.origin),
            confidence: fact.origin.confidence,
        },
        ..fact.clone()
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn externals(facts: &Facts) -> Vec<(String, String)> {
        facts.ranges.iter().map(|fact| (fact.cidr.to_string(), fact.origin.field.clone())).collect()
    }

    #[test]
    fn a_file_has_a_range_and_a_name_per_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# the company\n10.8.0.0/16 VPN Berlin\n\n10.9.0.1-10.9.0.2,two hosts # not more\n").unwrap();
        let mut facts = Facts::default();
        add(&[file.path().display().to_string()], &mut facts).unwrap();
        assert_eq!(
            externals(&facts),
            [
                ("10.8.0.0/16".to_owned(), "line 2: VPN Berlin".to_owned()),
                ("10.9.0.1/32".to_owned(), "line 4: two hosts".to_owned()),
                ("10.9.0.2/32".to_owned(), "line 4: two hosts".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_neither_range_nor_file_is_refused() {
        let error = add(&["10.8.0.0/40".to_owned()], &mut Facts::default()).unwrap_err().to_string();
        assert!(error.contains("10.8.0.0/40") && error.contains("no file of that name"), "{error}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "10.8.0.0/16\nten.nine\n").unwrap();
        let error = add(&[file.path().display().to_string()], &mut Facts::default()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("ten.nine"), "{error}");
    }
}
