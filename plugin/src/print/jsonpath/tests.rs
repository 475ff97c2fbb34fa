//! Against what kubectl v1.36.3 printed for the same object and expression (`kubectl get -o
//! jsonpath=…` and `-o custom-columns=…` from a server that served `kubectl.json`'s object).

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::print::columns::Columns;

#[derive(serde::Deserialize)]
struct Recorded {
    object: Value,
    jsonpath: Vec<Case>,
    #[serde(rename = "jsonpath-as-json")]
    as_json: Vec<Case>,
    #[serde(rename = "custom-columns")]
    columns: Vec<Case>,
}

/// `printed` is null where kubectl refused.
#[derive(serde::Deserialize)]
struct Case {
    expression: String,
    printed: Option<String>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("kubectl.json")).unwrap()
}

fn printed(expression: &str, object: &Value) -> Result<String, String> {
    let template = Template::parse(expression).map_err(|error| error.to_string())?;
    template.print(object).map_err(|error| error.to_string())
}

/// Where we answer although kubectl refuses, or differ; each for the reason in the module's text.
const DIFFERENT: &[&str] = &[
    // `&&`, `||`, `=~`
    r#"{.ranges[?(@.role=="pod"||@.role=="node")].cidr}"#,
    r#"{.ranges[?(@.role=="pod" || @.role=="node")].cidr}"#,
    r#"{.ranges[?(@.role=="pod"&&@.used>1)].cidr}"#,
    r#"{.ranges[?(@.role=="pod" && @.used>1)].cidr}"#,
    r#"{.ranges[?(@.cidr=~"10.*")].cidr}"#,
    r"{.ranges[?(@.cidr=~/10.*/)].cidr}",
    // numbers of both sorts, null
    "{.ranges[?(@.percentUsed>1)].cidr}",
    "{.ranges[?(@.capacity>5)].role}",
    // results after an empty list
    "{.gap[*].s[*]}",
    // refused: no {end}
    "{range .ranges[*]}x",
    "{range .ranges[*]}a{range .sources[*]}b{end}c",
    // refused: not an operator
    r#"{.ranges[?(@.role~"x")].role}"#,
    // refused: not a condition
    "{.ranges[?(@.nul==null)].role}",
    // a text of one's own is no list of bytes
    "{.kind.*}",
    // an escaped backslash before the quote
    r#"{"a b"}{'c'}{"\""}{"\u00e9"}{"\\"}"#,
    // HTML characters are not spelt out
    "{}",
    "{ }",
    "{@}",
    "{$}",
    "{..}",
];

/// kubectl prints an object's values in no order.
const UNORDERED: &[&str] = &["{.*}", "{.metadata.*}", "{.metadata['*']}", "{range .metadata.labels.*}{@};{end}"];

#[test]
fn prints_what_kubectl_prints() {
    let recorded = recorded();
    let mut wrong = Vec::new();
    let left_out = [DIFFERENT, UNORDERED].concat();
    for case in recorded.jsonpath.iter().filter(|case| !left_out.contains(&case.expression.as_str())) {
        let ours = printed(&case.expression, &recorded.object);
        if ours.as_ref().ok() != case.printed.as_ref() {
            wrong.push(format!("{}\n  kubectl {:?}\n  ours    {ours:?}", case.expression, case.printed));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(recorded.jsonpath.len() > 200);
}

#[test]
fn every_difference_is_one() {
    let recorded = recorded();
    for expression in DIFFERENT {
        let case = recorded.jsonpath.iter().find(|case| case.expression == *expression).expect(expression);
        assert_ne!(printed(expression, &recorded.object).ok(), case.printed, "{expression} is no difference");
    }
}

#[test]
fn as_json_prints_what_kubectl_prints() {
    let recorded = recorded();
    for case in &recorded.as_json {
        let groups = Template::parse(&case.expression).unwrap().print_json(&recorded.object).unwrap();
        let ours: String = groups.iter().map(|group| crate::print::data::json(group).unwrap()).collect();
        // kubectl lists nothing for a path that leads nowhere, as we do, and sorts keys, as this object is.
        assert_eq!(Some(ours), case.printed, "{}", case.expression);
    }
}

#[test]
fn columns_print_what_kubectl_prints() {
    // Refused by kubectl (a comma in a path) or different (a line feed in a cell stays in its row).
    let different = ["A:.ranges[0,1].role", "A:.nl", "X:.ranges[7].role"];
    let recorded = recorded();
    for case in recorded.columns.iter().filter(|case| !different.contains(&case.expression.as_str())) {
        let ours = Columns::parse(&case.expression).ok().map(|columns| {
            let mut text = String::new();
            let table = columns.table(std::slice::from_ref(&recorded.object)).unwrap();
            table.render(crate::print::table::Look { wide: false, headers: true, color: false }, &mut text);
            text
        });
        let theirs = case.printed.as_ref().map(|text| text.lines().map(str::trim_end).collect::<Vec<_>>());
        assert_eq!(ours.as_ref().map(|text| text.lines().collect::<Vec<_>>()), theirs, "{}", case.expression);
    }
}

#[test]
fn beyond_kubectl() {
    let object = json!({"items": [
        {"name": "a", "n": 5, "f": 5.5, "none": null, "s": []},
        {"name": "b=||)", "n": 20, "f": 80.0, "none": 3, "s": [1]},
        {"name": "c", "n": 30, "f": 90.0, "none": 4, "s": [2]},
    ]});
    let table = [
        (r#"{.items[?(@.name=="a" || @.n>25)].name}"#, "a c"),
        (r"{.items[?(@.n>5 && @.n<30 || @.name=='a')].name}", "a b=||)"),
        (r#"{.items[?(@.name=="b=||)")].n}"#, "20"),
        (r#"{.items[?("b=||)"==@.name)].n}"#, "20"),
        (r#"{.items[?(@.name=~"^[ab]")].n}"#, "5 20"),
        (r"{.items[?(@.name=~/^C$/)].n}", ""),
        (r"{.items[?(@.name=~/(?i)^C$/)].n}", "30"),
        (r"{.items[?(@.f>80)].n}", "30"),
        (r"{.items[?(@.f==80)].n}", "20"),
        (r"{.items[?(@.none>=3)].n}", "20 30"),
        (r"{.items[?(@.none!=3)].n}", "30"),
        (r"{.items[*].s[*]}", "1 2"),
        (r"{.items[?(@.s[?(@>1)])].name}", "c"),
    ];
    for (expression, expected) in table {
        assert_eq!(printed(expression, &object).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn errors_name_the_place() {
    let table = [
        ("", 1),
        ("{.a", 4),
        ("x{.a}{b}", 7),
        ("{.a[x]}", 5),
        ("{.a[0}", 4),
        ("{.a[?(@.b==)]}", 12),
        ("{.a[?(@.b<>1)]}", 10),
        ("{.a[?(@.b=~\"(\")]}", 12),
        ("{.a[?(c)]}", 7),
        ("{\"a}", 2),
        ("{end}", 1),
        ("a{range .a}b", 2),
        ("{.ä}{b}", 6),
    ];
    for (expression, place) in table {
        let error = Template::parse(expression).expect_err(expression).to_string();
        assert!(error.contains(&format!("character {place}:")), "{expression}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,40}|[{}\\[\\]().*?@$'\"=<>!&|~:,a1\\\\ -]{0,40}|(\\{range \\.a\\}|\\{end\\}|\\{\\.a\\[\\?\\(|\\)\\]\\}|@\\.b|==|\"x\"){0,9}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.print(&json!({"a": [{"b": [1, 2]}, {"b": null}], "1": {"a": "x"}}));
        }
        let _ = Template::parse_relaxed(&text);
    }

    #[test]
    fn a_path_finds_what_a_pointer_finds(keys in prop::collection::vec("[a-z./]{1,4}", 1..4)) {
        let mut object = json!("found");
        for key in keys.iter().rev() {
            object = json!({ key.as_str(): object });
        }
        let names: Vec<String> = keys.iter().map(|key| key.replace('.', "\\.")).collect();
        prop_assert_eq!(printed(&format!("{{.{}}}", names.join(".")), &object).unwrap(), "found");
    }
}
