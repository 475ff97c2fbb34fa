//! Every dump of virtual servers, routes, policy rules, links, neighbours, BIRD and CNI configuration that
//! is at hand: the fixtures, the fuzz targets' seeds, and the folder that `NET_CORPUS` names. Each is read,
//! printed and read again the same, or the reason is named; a file that nothing reads is named too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use e2e::{corpus, netns::Dice};
use netcore::{bird, cni, ipvs, link, probe::Probe, problem::Problem, route};
use plugin::from;

/// The fixtures, the corpus, and the seeds of the fuzz targets, which have what the corpus lacks.
fn everything() -> Vec<PathBuf> {
    let mut found = corpus::everything();
    found.extend(corpus::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")));
    found
}

/// What a file is, as `--from` tells it; nothing for files that are not of a node.
fn probe(path: &Path) -> Option<Probe> {
    let snapshot = from::open(&path.to_string_lossy(), &from::Options::default()).ok()?;
    snapshot.node_files().first().map(|file| file.probe)
}

/// How a file went: it came back equal, or not for a named reason.
type Way = Result<(), &'static str>;

/// What a reader gave, compared with what it gives of its own print.
fn round<T: PartialEq + std::fmt::Debug>(
    before: &[T],
    problems: &[Problem],
    print: impl Fn(&T) -> String,
    read: impl Fn(&str) -> (Vec<T>, Vec<Problem>),
) -> Result<Way, String> {
    placed(problems)?;
    let text: String = before.iter().map(|item| print(item) + "\n").collect();
    let (after, wrong) = read(&text);
    if !wrong.is_empty() || after != before {
        let differs = before.iter().zip(&after).find(|(before, after)| before != after);
        return Err(format!("printed and read again otherwise: {wrong:?} {differs:?}\n{text}"));
    }
    Ok(if before.is_empty() { Err("nothing in it was understood, and the problems say so") } else { Ok(()) })
}

/// Every problem names its line and what would be valid.
fn placed(problems: &[Problem]) -> Result<(), String> {
    match problems.iter().find(|problem| problem.line == 0 || problem.reason.is_empty()) {
        Some(vague) => Err(format!("a problem without its place: {vague}")),
        None => Ok(()),
    }
}

fn routes(text: &str) -> (Vec<route::Route>, Vec<Problem>) {
    let (mut routes, problems) = route::parse_routes(text);
    for route in &mut routes {
        route.line = 0;
    }
    (routes, problems)
}

fn of_routes(text: &str) -> Result<Way, String> {
    let (before, problems) = routes(text);
    round(&before, &problems, ToString::to_string, routes)
}

fn servers(text: &str) -> (ipvs::IpvsTable, Vec<Problem>) {
    let (mut table, problems) = ipvs::parse(text);
    for service in &mut table.services {
        service.line = 0;
        service.servers.iter_mut().for_each(|server| server.line = 0);
    }
    (table, problems)
}

fn of_servers(text: &str) -> Result<Way, String> {
    let (table, problems) = servers(text);
    placed(&problems)?;
    if table.services.is_empty() {
        return Ok(Err(if table.connections.is_empty() && !problems.is_empty() {
            "nothing in it was understood, and the problems say so"
        } else {
            "a list of connections, or an empty table: `ipvsadm -S` has no line for it"
        }));
    }
    let Some(saved) = table.to_save() else {
        return Ok(Err("a view that names no scheduler, or a mark of no family: `ipvsadm -S` needs them"));
    };
    let (after, wrong) = servers(&saved);
    let mut count = (0, 0);
    for (list, sum) in [(&table, &mut count.0), (&after, &mut count.1)] {
        *sum = list.services.iter().map(|service| 1 + service.servers.len()).sum();
    }
    let conflicts = table.conflicts(&after);
    if !wrong.is_empty() || !conflicts.is_empty() || count.0 != count.1 {
        return Err(format!("printed and read again otherwise: {wrong:?} {conflicts:?}\n{saved}"));
    }
    let is_save = text.lines().any(|line| line.starts_with("-A "));
    if is_save && after != table {
        return Err(format!("a save that is not the same when it is printed and read again:\n{saved}"));
    }
    Ok(Ok(()))
}

fn of_bird(text: &str) -> Result<Way, String> {
    let read = |text: &str| {
        let (mut bird, problems) = bird::parse(text);
        bird.protocols.iter_mut().for_each(|protocol| protocol.line = 0);
        bird.routes.iter_mut().for_each(|route| route.line = 0);
        (bird, problems)
    };
    let (before, problems) = read(text);
    placed(&problems)?;
    if before.protocols.is_empty() && before.routes.is_empty() {
        return Ok(Err("neither protocols nor routes: `show status`, interfaces, memory or symbols"));
    }
    let (after, wrong) = read(&before.to_string());
    if !wrong.is_empty() || after != before {
        let protocol = before.protocols.iter().zip(&after.protocols).find(|(a, b)| a != b);
        let route = before.routes.iter().zip(&after.routes).find(|(a, b)| a != b);
        return Err(format!("printed and read again otherwise: {wrong:?} {protocol:?} {route:?}"));
    }
    Ok(Ok(()))
}

fn of_cni(text: &str, name: &str) -> Result<Way, String> {
    let mut way: Way = Err("no file in it");
    for file in cni::parse_files(text, name) {
        match file.conf {
            Ok(conf) => {
                let again = cni::parse(&conf.to_string()).map_err(|problem| problem.to_string())?;
                if again != conf {
                    return Err(format!("{}: printed and read again otherwise: {conf:?} {again:?}", file.name));
                }
                way = Ok(());
            }
            Err(problem) => {
                placed(&[problem])?;
                way = Err("a broken configuration, and the problem says so");
            }
        }
    }
    Ok(way)
}

/// What has no print of its own: it is read, and what is not understood has its place.
fn only_read(problems: &[Problem]) -> Result<Way, String> {
    placed(problems).map(|()| Err("read, and compared with other views elsewhere: no print of its own"))
}

fn way(probe: Probe, text: &str, name: &str) -> Option<Result<Way, String>> {
    Some(match probe {
        Probe::IpvsTable => of_servers(text),
        Probe::Routes => of_routes(text),
        Probe::BirdProtocols => of_bird(text),
        Probe::CniConf => of_cni(text, name),
        Probe::Rules => only_read(&route::parse_rules(text).1),
        Probe::Addresses => {
            let (mut problems, of_links) = (route::parse_addresses(text).1, link::parse_links(text).1);
            problems.extend(of_links);
            only_read(&problems)
        }
        Probe::Neighbours => only_read(&link::parse_neighbours(text).1),
        Probe::Fdb => only_read(&link::parse_fdb(text).1),
        Probe::Conntrack => only_read(&netcore::conntrack::each(text, |_| ()).1),
        Probe::KernelModules => only_read(&netcore::kmod::parse(text).1),
        Probe::Sysctls => only_read(&netcore::sysctl::parse(text).1),
        Probe::FlannelSubnetEnv => only_read(&netcore::flannel::parse_subnet_env(text).1),
        _ => return None,
    })
}

#[test]
fn every_dump_is_read_and_printed_back() {
    let mut complaints = Vec::new();
    let mut equal: BTreeMap<Probe, usize> = BTreeMap::new();
    let mut named: BTreeMap<(Probe, &str), Vec<String>> = BTreeMap::new();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for path in everything() {
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        let name = path.display().to_string();
        let Some(probe) = probe(&path) else {
            let folder = path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
            *others.entry(folder).or_default() += 1;
            continue;
        };
        match way(probe, &text, &name) {
            Some(Ok(Ok(()))) => *equal.entry(probe).or_default() += 1,
            Some(Ok(Err(reason))) => named.entry((probe, reason)).or_default().push(name),
            Some(Err(complaint)) => complaints.push(format!("{name}: {complaint}")),
            // their own suites: rules.rs and netfilter_corpus.rs
            None => {}
        }
    }
    println!("read, printed and read again the same: {equal:?}");
    for ((probe, reason), files) in &named {
        println!("{}: {reason}:\n  {}", probe.file(), files.join("\n  "));
    }
    for (folder, count) in &others {
        println!("{folder}: {count} files that are no node's state: objects, documents, logs");
    }
    for probe in [Probe::IpvsTable, Probe::Routes, Probe::BirdProtocols, Probe::CniConf] {
        assert!(equal.contains_key(&probe), "no {} came back equal", probe.file());
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Files that are called or lie like a node's state and that nothing takes for one; each has its reason.
const NOT_READ: [(&str, &str); 11] = [
    ("birdc-1.6.8-", "BIRD's memory, symbols and the like tell nothing of routes"),
    ("ss-179", "sockets are no probe"),
    ("ipvsadm/", "an excerpt without one whole line"),
    ("bird/", "an excerpt of a document without one whole line"),
    ("proc_net_ip_vs_stats", "the sum of all traffic is no probe"),
    ("proc-net/ip_vs_stats", "the sum of all traffic is no probe"),
    ("ipvs-vm-manual/timeout.txt", "`ipvsadm -L --timeout` alone tells of no virtual server"),
    ("ipvs-vm-manual/procls", "a list of file names"),
    ("ipvs-vm-manual/uname", "the kernel's release, which the Node has"),
    ("ipvs-vm-manual/version", "the program's version"),
    ("healthz.json", "kube-proxy's health is no probe"),
];

/// A folder of dumps is not passed over in silence: what is in it is read, or stands in the list above.
#[test]
fn no_file_of_a_nodes_state_is_passed_over() {
    let Some(corpus) = corpus::folder() else { return };
    let folders = ["ipvsadm", "proc-net", "route", "ip-route", "bird", "subnet-env", "ipvs-vm"];
    let mut silent = BTreeSet::new();
    for path in corpus::files(&corpus) {
        let name = path.display().to_string();
        let of_nodes = folders.iter().any(|folder| name.contains(folder));
        // kube-proxy's own logs and metrics, and Kubernetes objects
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if !of_nodes || is_log || ["objects.json", "metrics.txt"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let snapshot = from::open(&path.to_string_lossy(), &from::Options::default());
        if snapshot.is_ok_and(|snapshot| !snapshot.node_files().is_empty() || snapshot.info().objects > 0) {
            continue;
        }
        match NOT_READ.iter().find(|(part, _)| name.contains(part)) {
            Some((_, reason)) => println!("{name}: {reason}"),
            None => _ = silent.insert(name),
        }
    }
    assert!(
        silent.is_empty(),
        "nothing reads these, and nobody says why:\n{}",
        silent.into_iter().collect::<Vec<_>>().join("\n")
    );
}

/// Whether every digit of a text is of something that the model keeps.
fn keeps_every_digit(probe: Probe, text: &str) -> bool {
    let starts = |word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    match probe {
        Probe::IpvsTable => !starts("IPVS connection") && !starts("Pro FromIP"),
        // `route -n` and /proc have columns of references and uses
        Probe::Routes => !starts("Destination") && !starts("Iface") && !starts("Kernel") && text.contains(" dev "),
        _ => false,
    }
}

#[test]
fn any_digit_that_changes_changes_the_model() {
    let mut dice = Dice::new(44);
    let mut changed: BTreeMap<Probe, usize> = BTreeMap::new();
    for path in everything() {
        let Some(probe) = probe(&path) else { continue };
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if !keeps_every_digit(probe, &text) {
            continue;
        }
        let model = |text: &str| match probe {
            Probe::IpvsTable => format!("{:?}", servers(text)),
            _ => format!("{:?}", routes(text)),
        };
        let understood = match probe {
            Probe::IpvsTable => ipvs::parse(&text).1.is_empty(),
            _ => route::parse_routes(&text).1.is_empty(),
        };
        // what could not be read is in no model
        if !understood {
            continue;
        }
        let before = model(&text);
        // a pasted prompt is nobody's state
        let is_prompt = |at: usize| {
            let line = text[text[..at].rfind('\n').map_or(0, |end| end + 1)..].lines().next().unwrap_or_default();
            line.contains('@') || line.trim_start().starts_with(['$', '#'])
        };
        let places = text.bytes().enumerate().filter(|(_, byte)| (b'1'..=b'8').contains(byte)).map(|(at, _)| at);
        let digits: Vec<usize> = places.filter(|at| !is_prompt(*at)).collect();
        for _ in 0..if digits.is_empty() { 0 } else { 60 } {
            let at = digits[usize::try_from(dice.below(digits.len() as u64)).expect("small")];
            let mut bytes = text.clone().into_bytes();
            bytes[at] += 1;
            let other = String::from_utf8(bytes).expect("a digit for a digit");
            let line = text[..at].matches('\n').count() + 1;
            assert_ne!(model(&other), before, "{}:{line}: nobody saw the digit at byte {at} change", path.display());
            *changed.entry(probe).or_default() += 1;
        }
    }
    println!("digits that were changed: {changed:?}");
    assert!(changed.get(&Probe::IpvsTable) > Some(&20) && changed.get(&Probe::Routes) > Some(&20), "{changed:?}");
}
