//! Back to what `ipvsadm -S -n` prints and `ipvsadm -R` takes.

use std::fmt::Write as _;

use super::model::{
    Checksum, Forward, IpvsTable, Persistence, Protocol, RealServer, Tunnel, VirtualAddress, VirtualServer,
};
use crate::cidr::Family;

impl IpvsTable {
    /// The table as `ipvsadm -S -n` prints it; none where a part of it is not known (a list of
    /// counters names no scheduler).
    pub fn to_save(&self) -> Option<String> {
        let mut out = String::new();
        for service in &self.services {
            let name = name(&service.address)?;
            write_service(&mut out, &name, service)?;
            for server in &service.servers {
                write_server(&mut out, &name, server)?;
            }
        }
        Some(out)
    }
}

fn name(address: &VirtualAddress) -> Option<String> {
    Some(match address {
        VirtualAddress::Socket(Protocol::Tcp, endpoint) => format!("-t {endpoint}"),
        VirtualAddress::Socket(Protocol::Udp, endpoint) => format!("-u {endpoint}"),
        VirtualAddress::Socket(Protocol::Sctp, endpoint) => format!("--sctp-service {endpoint}"),
        // the program prints a mark with a sign
        VirtualAddress::Mark(mark, Some(Family::V4)) => format!("-f {}", mark.cast_signed()),
        VirtualAddress::Mark(mark, Some(Family::V6)) => format!("-f {} -6", mark.cast_signed()),
        VirtualAddress::Mark(_, None) => return None,
    })
}

fn write_service(out: &mut String, name: &str, service: &VirtualServer) -> Option<()> {
    write!(out, "-A {name} -s {}", service.scheduler.as_ref()?).ok()?;
    if let Persistence::On { seconds, mask, engine, .. } = service.persistence.as_ref()? {
        write!(out, " -p {}", (*seconds)?).ok()?;
        if let Some(mask) = mask {
            write!(out, " -M {mask}").ok()?;
        }
        if let Some(engine) = engine {
            write!(out, " --pe {engine}").ok()?;
        }
    }
    if service.one_packet? {
        out.push_str(" -o");
    }
    let flags = service.flags.as_ref()?;
    if !flags.is_empty() {
        write!(out, " -b {}", flags.join(",")).ok()?;
    }
    out.push('\n');
    Some(())
}

fn write_server(out: &mut String, name: &str, server: &RealServer) -> Option<()> {
    let forward = match server.forward? {
        Forward::Masquerade => "-m",
        Forward::Route => "-g",
        Forward::Tunnel(_) => "-i",
        // the program has no letter for these
        Forward::Local | Forward::Bypass => "",
    };
    write!(out, "-a {name} -r {} {forward} -w {}", server.endpoint, server.weight?).ok()?;
    if let Forward::Tunnel(tunnel) = server.forward? {
        let flag = |checksum: Checksum| match checksum {
            Checksum::Without => "--tun-nocsum",
            Checksum::With => "--tun-csum",
            Checksum::Remote => "--tun-remcsum",
        };
        match tunnel {
            Some(Tunnel::Ipip) => out.push_str(" --tun-type ipip"),
            Some(Tunnel::Gue(port, checksum)) => {
                write!(out, " --tun-type gue --tun-port {port} {}", flag(checksum)).ok()?;
            }
            Some(Tunnel::Gre(checksum)) => write!(out, " --tun-type gre {}", flag(checksum)).ok()?,
            None => {}
        }
    }
    if let Some(upper) = server.upper_threshold.filter(|upper| *upper > 0) {
        write!(out, " -x {upper}").ok()?;
    }
    if let Some(lower) = server.lower_threshold.filter(|lower| *lower > 0) {
        write!(out, " -y {lower}").ok()?;
    }
    out.push('\n');
    Some(())
}
