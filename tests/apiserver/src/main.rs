//! Serves the JSON files and folders that are named, or a large generated cluster (`large`), until
//! its standard input ends: `KUBECONFIG=$(…)` is its first line.

use std::io::{self, Write as _};

use apiserver::{Config, Server, generate};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config = match arguments.first().map(String::as_str) {
        Some("large") => generate::cluster(generate::LARGE),
        _ => arguments.iter().fold(Config::new(), Config::load),
    };
    let server = Server::start(config).allow_writes();
    writeln!(io::stdout(), "{}", server.kubeconfig().display())?;
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
