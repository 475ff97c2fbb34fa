//! One function per command: read, analyse, report, print.

use std::io::{IsTerminal as _, Read as _};

use netcore::{
    cidr::{Cidr, parse_ip, parse_list},
    ranges::{
        free::{self, FreeRangeList, Wanted},
        map::{self, AddressMap, svg},
        nodes::{self, NodeCidrList},
        plan::{self, Plan, Planned},
        report::{AddressList, cidr_report},
        whois,
    },
    report::Report,
};
use plugin::{
    Failure,
    args::InputArgs,
    exit::{ExitCode, FailOn},
    print::{Detail, Format, Out, Rows, View, report::say_unread},
    since::Changes,
};
use serde::Serialize;

use crate::{
    cli::{self, Cli, Command, PlanArgs},
    plan_view,
    reading::{Error, Reading},
    view,
};

const RANGES: Rows = Rows { list: "ranges", kind: "range", name: &["cidr"] };
const NODES: Rows = Rows { list: "items", kind: "node", name: &["name"] };
const ADDRESSES: Rows = Rows { list: "items", kind: "address", name: &["address"] };
const BLOCKS: Rows = Rows { list: "blocks", kind: "block", name: &["cidr"] };
const STEPS: Rows = Rows { list: "steps", kind: "step", name: &["id"] };
const FREE: Rows = Rows { list: "items", kind: "range", name: &["cidr"] };

/// Answers the question that the command line asks.
pub(crate) async fn answer(cli: &Cli, out: &mut Out) -> Result<ExitCode, Failure> {
    let code = match &cli.command {
        None => show(cli, out).await,
        Some(Command::Check) => check(cli, out).await,
        Some(Command::Nodes) => nodes(cli, out).await,
        Some(Command::Whois { addresses }) => whois(cli, addresses, out).await,
        Some(Command::Free { length, count, within }) => free(cli, length, *count, within, out).await,
        Some(Command::Plan(args)) => plan(cli, args, out).await,
        Some(Command::Map) => map(cli, out).await,
        // printed before anything is run
        Some(Command::Completion(_)) => Ok(ExitCode::Done),
    };
    code.map_err(Error::into_failure)
}

async fn show(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let body =
        |reading: &Reading| Ok(reading.report("CidrReport", cidr_report(&reading.facts, &|node| reading.shows(node))));
    Question { cli, rows: RANGES, fail_on: FailOn::Never, says_unread: true }.ask(out, body, view::cidr_report).await
}

async fn check(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let body =
        |reading: &Reading| Ok(reading.report("CidrReport", cidr_report(&reading.facts, &|node| reading.shows(node))));
    Question { cli, rows: RANGES, fail_on: FailOn::Error, says_unread: false }.ask(out, body, view::check).await
}

async fn nodes(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    let body = |reading: &Reading| {
        let mut list = nodes::details(&reading.facts);
        list.items.retain(|node| reading.shows(&node.row.name));
        Ok(reading.report("NodeCidrList", list))
    };
    let table = |report: &Report<NodeCidrList>, detail| view::nodes(&report.body, detail);
    Question { cli, rows: NODES, fail_on: FailOn::Never, says_unread: true }.ask(out, body, table).await
}

async fn whois(cli: &Cli, named: &[String], out: &mut Out) -> Result<ExitCode, Error> {
    let mut ips = Vec::new();
    for text in addresses(named)? {
        ips.push(parse_ip(&text).map_err(|error| Error::Usage(error.to_string()))?.0);
    }
    let body = |reading: &Reading| {
        let items = ips.iter().map(|ip| whois::whois(&reading.facts, *ip)).collect();
        Ok(reading.report("AddressList", AddressList { items }))
    };
    let table = |report: &Report<AddressList>, _| view::addresses(&report.body);
    Question { cli, rows: ADDRESSES, fail_on: FailOn::Never, says_unread: true }.ask(out, body, table).await
}

/// The addresses named, or one per line from standard input.
fn addresses(named: &[String]) -> Result<Vec<String>, Error> {
    let from_stdin = named.is_empty() || named.iter().any(|name| name == "-");
    let mut texts: Vec<String> = named.iter().filter(|name| *name != "-").cloned().collect();
    if from_stdin {
        let stdin = std::io::stdin();
        if named.is_empty() && stdin.is_terminal() {
            return Err(Error::Usage("whose address? name addresses, or pipe them in one per line".to_owned()));
        }
        let mut text = String::new();
        stdin.lock().read_to_string(&mut text)?;
        texts.extend(text.split_whitespace().map(str::to_owned));
    }
    Ok(texts)
}

async fn free(cli: &Cli, length: &str, count: u16, within: &[String], out: &mut Out) -> Result<ExitCode, Error> {
    let wanted = Wanted { prefix_len: prefix_len(length)?, count: usize::from(count), within: ranges(within)? };
    let body = |reading: &Reading| {
        let list = free::free(&reading.facts, &wanted).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(reading.report("FreeRangeList", list))
    };
    let table = |report: &Report<FreeRangeList>, _| view::free(&report.body);
    Question { cli, rows: FREE, fail_on: FailOn::Never, says_unread: true }.ask(out, body, table).await
}

/// `/20` or `20`.
fn prefix_len(text: &str) -> Result<u8, Error> {
    cli::length(text).map_err(Error::Usage)
}

async fn plan(cli: &Cli, args: &PlanArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let goal = args.goal.goal().ok_or_else(|| Error::Usage("what is to be changed? see --help".to_owned()))?;
    let body = |reading: &Reading| {
        let Planned { plan, findings } = plan::plan(&reading.facts, &goal);
        // the cluster's own findings are `check`'s: here are those of the plan
        Ok(Report { findings, ..reading.report("Plan", plan) })
    };
    let table = |report: &Report<Plan>, detail| plan_view::plan(report, args.explain, detail);
    Question { cli, rows: STEPS, fail_on: FailOn::Error, says_unread: false }.ask(out, body, table).await
}

fn ranges(texts: &[String]) -> Result<Vec<Cidr>, Error> {
    texts
        .iter()
        .flat_map(|text| parse_list(text))
        .map(|written| written.map(|written| written.cidr).map_err(|error| Error::Usage(format!("--within: {error}"))))
        .collect()
}

async fn map(cli: &Cli, out: &mut Out) -> Result<ExitCode, Error> {
    if matches!(out.format(), Format::Extra(_)) {
        let reading = Reading::of(cli, &cli.input, &out.say()).await?;
        let title = reading.cluster.context.clone().or_else(|| reading.cluster.server.clone());
        out.lines(&svg::render(&map::layout(&reading.facts), title.as_deref().unwrap_or("a cluster")))?;
        return Ok(ExitCode::of(&[], FailOn::Never, reading.is_partial()));
    }
    let width = out.width();
    let body = |reading: &Reading| Ok(reading.report("AddressMap", map::layout(&reading.facts)));
    let picture = |report: &Report<AddressMap>, _| view::map(&report.body, width);
    Question { cli, rows: BLOCKS, fail_on: FailOn::Never, says_unread: true }.ask(out, body, picture).await
}

/// A question about one reading of the cluster, or with `--since` about two.
struct Question<'a> {
    cli: &'a Cli,
    rows: Rows,
    fail_on: FailOn,
    /// What could not be read is said on stderr; else the answer itself has it.
    says_unread: bool,
}

impl Question<'_> {
    async fn ask<Body: Serialize>(
        self,
        out: &mut Out,
        report: impl Fn(&Reading) -> Result<Report<Body>, Error>,
        view: impl Fn(&Report<Body>, Detail) -> View,
    ) -> Result<ExitCode, Error> {
        let say = out.say();
        let reading = Reading::of(self.cli, &self.cli.input, &say).await?;
        let now = report(&reading)?;
        if let Some(path) = &self.cli.input.since {
            let input = InputArgs { from: Some(path.clone()), record: None, ..self.cli.input.clone() };
            let before = report(&Reading::of(self.cli, &input, &say).await?)?;
            let changes = Changes::of(&before, &now, self.rows.list)?;
            out.report_since(&now, &changes, self.rows, |detail| view(&now, detail))?;
        } else {
            out.report(&now, self.rows, |detail| view(&now, detail))?;
        }
        match out.format() {
            _ if !self.says_unread => {}
            Format::Table => say_unread(&now.unreadable, Detail::Table, &say),
            Format::Wide => say_unread(&now.unreadable, Detail::Wide, &say),
            _ => {}
        }
        let missing = reading.is_partial();
        Ok(ExitCode::of(&now.findings, self.cli.fail_on.or(self.fail_on), missing))
    }
}
