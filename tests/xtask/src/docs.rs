//! Documents that are made from the code, so that they cannot disagree with it.

use std::{fmt::Write as _, fs, path::PathBuf};

use netcore::{
    finding::FindingDoc,
    ranges::{
        checks,
        report::{AddressList, CidrReport},
    },
    report::Report,
};

use crate::run::{Error, root, say};

/// Writes the documents, or with `check` only compares them.
pub(crate) fn docs(check: bool) -> Result<(), Error> {
    let mut stale = Vec::new();
    for (path, text) in documents()? {
        let file = root().join("docs").join(&path);
        if fs::read_to_string(&file).is_ok_and(|now| now == text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
            continue;
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::File(folder.to_path_buf(), e))?;
        }
        fs::write(&file, text).map_err(|e| Error::File(file.clone(), e))?;
        say(&format!("wrote docs/{}", path.display()));
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Error::Other(format!("docs/{} not in step with the code; run `cargo xtask docs`", stale.join(", docs/"))))
    }
}

fn documents() -> Result<Vec<(PathBuf, String)>, Error> {
    let cidr: Vec<&FindingDoc> = checks::ALL.iter().copied().flatten().map(|check| &check.doc).collect();
    Ok(vec![
        ("findings.md".into(), findings(&[("kubectl netcidr", cidr)])),
        ("schema/CidrReport.json".into(), schema::<Report<CidrReport>>()?),
        ("schema/AddressList.json".into(), schema::<Report<AddressList>>()?),
    ])
}

fn schema<T: schemars::JsonSchema>() -> Result<String, Error> {
    let text = serde_json::to_string_pretty(&schemars::schema_for!(T)).map_err(|e| Error::Other(e.to_string()))?;
    Ok(text + "\n")
}

fn findings(plugins: &[(&str, Vec<&FindingDoc>)]) -> String {
    let mut text = String::from(
        "# Findings\n\n\
         Every finding has a stable id. `error` breaks traffic now or at the next restart, `warning` will go \
         wrong or hides something, `info` is worth knowing. A check whose source cannot be read is listed under \
         `unreadable` as `check ID`, never passed in silence.\n\n\
         This page is written by `cargo xtask docs` out of the checks themselves.\n",
    );
    for (plugin, docs) in plugins {
        let mut docs = docs.clone();
        docs.sort_by_key(|doc| doc.id);
        let _ = write!(text, "\n## {plugin}\n\n| id | about | severity |\n|---|---|---|\n");
        for doc in &docs {
            let _ = writeln!(text, "| [{}](#{}) | {} | {} |", doc.id, doc.id.to_lowercase(), doc.title, doc.severity);
        }
        for doc in &docs {
            let _ = write!(
                text,
                "\n### {}\n\n**{}** ({})\n\n- *When:* {}\n- *Example:* {}\n- *Remedy:* {}\n",
                doc.id, doc.title, doc.severity, doc.formula, doc.example, doc.remedy
            );
        }
    }
    text
}
