//! `-o`, `--no-headers`, `--color`.

use std::str::FromStr;

use anstream::ColorChoice;
use clap::{Args, ValueEnum};

use super::{Columns, ColumnsError, ParseError, Template};

/// Formats that only some commands have: a picture is not a list.
const EXTRA: &[&str] = &["svg"];

/// The flags about output, on every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output format: table, wide, json, yaml, name, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE or
    /// custom-columns=HEADER:PATH,…
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub output: Format,

    /// Print no column headers
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        action = clap::ArgAction::Set,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub no_headers: bool,

    /// When to colour the output
    #[arg(
        help = "When to colour the output; auto follows the terminal, NO_COLOR and CLICOLOR_FORCE",
        long,
        global = true,
        value_name = "auto|always|never",
        value_enum,
        default_value_t = When::Auto,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: When,
}

impl OutputArgs {
    /// Refuses a format that the command does not have; `extra` are those it has beyond the common
    /// ones.
    pub fn check(&self, extra: &[&str]) -> Result<(), UnknownFormat> {
        match self.output {
            Format::Extra(name) if !extra.contains(&name) => {
                Err(UnknownFormat::Unknown { text: name.to_owned(), valid: valid(extra) })
            }
            _ => Ok(()),
        }
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal that has colours, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl When {
    /// The choice for a stream; `auto` is what the environment and the stream say.
    pub(super) fn choose(self, auto: impl FnOnce() -> ColorChoice) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => auto() != ColorChoice::Never,
        }
    }
}

/// How a report is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with every column and row.
    Wide,
    /// JSON, four blanks as kubectl.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name` of each row.
    Name,
    /// A template over the whole report.
    JsonPath(Template),
    /// The same, each block's results as a JSON list.
    JsonPathAsJson(Template),
    /// A table of paths, over the report's rows.
    CustomColumns(Columns),
    /// A format of the command's own: `svg`.
    Extra(&'static str),
}

/// `-o` names no format that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFormat {
    /// Not a format.
    #[error("unknown output format {text:?}, valid are: {valid}")]
    Unknown {
        /// As written.
        text: String,
        /// Those that there are.
        valid: String,
    },
    /// One of kubectl's formats in Go's template language.
    #[error(
        "{0} needs the template engine of Go, which this plugin does not have: use jsonpath=… or custom-columns=…, or -o json with jq"
    )]
    GoTemplate(String),
    /// The template is wrong.
    #[error(transparent)]
    Template(#[from] ParseError),
    /// The columns are.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, template) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let unknown = || UnknownFormat::Unknown { text: text.to_owned(), valid: valid(EXTRA) };
        match name {
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                return Err(UnknownFormat::GoTemplate(name.to_owned()));
            }
            "jsonpath" => return Ok(Self::JsonPath(Template::parse(template.unwrap_or_default())?)),
            "jsonpath-as-json" => return Ok(Self::JsonPathAsJson(Template::parse(template.unwrap_or_default())?)),
            "custom-columns" => return Ok(Self::CustomColumns(Columns::parse(template.unwrap_or_default())?)),
            _ if template.is_some() => return Err(unknown()),
            _ => {}
        }
        match name {
            "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "name" => Ok(Self::Name),
            _ => EXTRA.iter().find(|extra| **extra == name).map(|extra| Self::Extra(extra)).ok_or_else(unknown),
        }
    }
}

fn valid(extra: &[&str]) -> String {
    let common = ["table", "wide", "json", "yaml", "name", "jsonpath=…", "jsonpath-as-json=…", "custom-columns=…"];
    common.iter().chain(extra).copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_names_the_valid_ones() {
        let error = "xml".parse::<Format>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown output format \"xml\", valid are: table, wide, json, yaml, name"),
            "{error}"
        );
        assert!("json=x".parse::<Format>().is_err());
        assert!("".parse::<Format>().is_err());
    }

    #[test]
    fn templates_are_read_with_the_command_line() {
        let error = "jsonpath={.a".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "jsonpath \"{.a\", character 4: the brace is not closed, expected }");
        assert!("jsonpath".parse::<Format>().is_err());
        assert!("jsonpath=".parse::<Format>().is_err());
        assert!("custom-columns=A".parse::<Format>().is_err());
        assert!(matches!("custom-columns=A:.a".parse(), Ok(Format::CustomColumns(_))));
        assert!(matches!("jsonpath-as-json={.a}".parse(), Ok(Format::JsonPathAsJson(_))));
    }

    #[test]
    fn flags_are_written_as_for_kubectl() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            output: OutputArgs,
        }
        let read = |words: &[&str]| {
            let words = std::iter::once(&"x").chain(words);
            <Cli as clap::Parser>::try_parse_from(words).map(|cli| (cli.output.output, cli.output.no_headers))
        };
        for words in
            [&["-ojson", "--no-headers"][..], &["-o=json", "--no-headers=true"], &["--output", "json", "--no-headers"]]
        {
            assert_eq!(read(words).unwrap(), (Format::Json, true), "{words:?}");
        }
        assert_eq!(read(&["--no-headers=false"]).unwrap(), (Format::Table, false));
        assert!(read(&["--no-headers=maybe"]).is_err());
    }

    #[test]
    fn go_templates_are_refused_in_words() {
        let error = "go-template={{.}}".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("jsonpath"), "{error}");
    }

    #[test]
    fn a_picture_only_where_there_is_one() {
        let args = OutputArgs { output: "svg".parse().unwrap(), ..OutputArgs::default() };
        assert!(args.check(&["svg"]).is_ok());
        let error = args.check(&[]).unwrap_err().to_string();
        assert!(error.contains("\"svg\"") && !error.ends_with("svg"), "{error}");
    }

    #[test]
    fn the_flag_goes_before_the_environment() {
        assert!(When::Always.choose(|| ColorChoice::Never));
        assert!(!When::Never.choose(|| ColorChoice::Always));
        assert!(!When::Auto.choose(|| ColorChoice::Never));
        assert!(When::Auto.choose(|| ColorChoice::Always));
    }
}
