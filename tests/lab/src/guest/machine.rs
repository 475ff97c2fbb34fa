//! One guest: what it is given, and the emulator's command line.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Boot, exec};
use crate::{Error, process::log_tail};

/// What a guest is made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its host name.
    pub name: String,
    /// Its folder: sockets and locks lie in it; `host` in it is shared with the guest, as is `bin`, read-only.
    pub folder: PathBuf,
    /// MiB of memory; the guest's root is in it.
    pub memory: u32,
    /// Virtual CPUs.
    pub cpus: u8,
    /// Its network; a job has none.
    pub network: Option<Network>,
}

/// A guest's only interface, `eth0`.
#[derive(Debug, Clone)]
pub struct Network {
    /// The tap that is its other end.
    pub tap: String,
    /// The last byte of its hardware address.
    pub number: u8,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Where its default routes lead, one for each family.
    pub gateways: Vec<String>,
}

impl Spec {
    /// The folder that the guest can write, `/host` in it.
    pub fn host(&self) -> PathBuf {
        self.folder.join("host")
    }

    /// The folder that the guest runs binaries out of, `/bin.host` in it.
    pub fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Program and arguments of the emulator; the guest's console is its stdout.
    pub fn argv(&self, boot: &Boot) -> Vec<String> {
        let mut line = format!("console=ttyS0 panic=-1 quiet lab.name={}", self.name);
        let shown = |path: &Path| path.display().to_string();
        let mut argv: Vec<String> = [
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi,tb-size=256",
            "-cpu",
            "max",
            "-serial",
            "stdio",
            "-device",
            "virtio-rng-pci",
        ]
        .map(str::to_owned)
        .into();
        argv.extend(["-m".to_owned(), self.memory.to_string(), "-smp".to_owned(), self.cpus.to_string()]);
        argv.extend(["-kernel".to_owned(), shown(&boot.kernel), "-initrd".to_owned(), shown(&boot.initrd)]);
        for (tag, path, more) in [("host", self.host(), ""), ("bin", self.bin(), ",readonly=on")] {
            // a comma would begin the next option
            let path = shown(&path).replace(',', ",,");
            argv.push("-virtfs".to_owned());
            argv.push(format!("local,path={path},mount_tag={tag},security_model=none,id={tag}{more}"));
        }
        argv.extend(["-device".to_owned(), "virtio-serial-pci".to_owned()]);
        for port in 0..exec::PORTS {
            let path = shown(&exec::socket(&self.folder, port)).replace(',', ",,");
            argv.push("-chardev".to_owned());
            argv.push(format!("socket,id=lab{port},path={path},server=on,wait=off"));
            argv.push("-device".to_owned());
            argv.push(format!("virtserialport,chardev=lab{port},name=lab{port}"));
        }
        if let Some(network) = &self.network {
            for address in &network.addresses {
                line.push_str(" lab.address=");
                line.push_str(address);
            }
            for gateway in &network.gateways {
                line.push_str(" lab.via=");
                line.push_str(gateway);
            }
            argv.push("-netdev".to_owned());
            argv.push(format!("tap,id=net0,ifname={},script=no,downscript=no", network.tap));
            argv.push("-device".to_owned());
            argv.push(format!("virtio-net-pci,netdev=net0,romfile=,mac=52:54:00:77:00:{:02x}", network.number));
        }
        argv.extend(["-append".to_owned(), line]);
        argv
    }

    /// Makes the folders.
    pub fn prepare(&self) -> Result<(), Error> {
        for folder in [self.host(), self.bin()] {
            fs::create_dir_all(&folder).map_err(Error::file(folder))?;
        }
        Ok(())
    }
}

/// A guest that runs; it ends with this.
#[derive(Debug)]
pub struct Guest {
    spec: Spec,
    child: Child,
    console: PathBuf,
}

impl Guest {
    /// Boots it. What it says on its console goes to `console` in its folder.
    pub fn start(spec: Spec, boot: &Boot) -> Result<Self, Error> {
        spec.prepare()?;
        let console = spec.folder.join("console");
        let log = File::create(&console).map_err(Error::file(&console))?;
        let both = log.try_clone().map_err(Error::file(&console))?;
        let argv = spec.argv(boot);
        // however this process ends, the emulator ends with it
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(&argv).stdin(Stdio::null()).stdout(log).stderr(both);
        let child = command.spawn().map_err(|e| Error::Start("setpriv".to_owned(), e))?;
        Ok(Self { spec, child, console })
    }

    /// What it has said.
    pub fn console(&self) -> String {
        fs::read(&self.console).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// Waits for a line on the console that holds `text`.
    pub fn wait_for(&mut self, text: &str, seconds: u64) -> Result<(), Error> {
        self.wait(text, seconds, |guest| guest.console().contains(text))
    }

    /// Runs a command in it to its end.
    pub fn exec(&self, argv: &[&str], stdin: &[u8]) -> Result<Output, Error> {
        exec::exec(&self.spec.folder, argv, stdin)
    }

    /// Waits until it has powered itself off.
    pub fn ended(mut self, seconds: u64) -> Result<(), Error> {
        let patience = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::file("the emulator"))? {
                return if status.success() { Ok(()) } else { Err(self.died(&status.to_string())) };
            }
            self.not_later_than(patience, "the guest's power-off", seconds)?;
        }
    }

    fn wait(&mut self, what: &str, seconds: u64, mut there: impl FnMut(&Self) -> bool) -> Result<(), Error> {
        let patience = Instant::now() + Duration::from_secs(seconds);
        while !there(self) {
            if let Some(status) = self.child.try_wait().map_err(Error::file("the emulator"))? {
                return Err(self.died(&status.to_string()));
            }
            self.not_later_than(patience, what, seconds)?;
        }
        Ok(())
    }

    fn not_later_than(&self, patience: Instant, what: &str, seconds: u64) -> Result<(), Error> {
        if Instant::now() > patience {
            let seen = log_tail(&self.console, 15);
            return Err(Error::Late { what: what.to_owned(), seconds, seen });
        }
        thread::sleep(Duration::from_millis(50));
        Ok(())
    }

    fn died(&self, status: &str) -> Error {
        let output = log_tail(&self.console, 15);
        let component = format!("the guest {}", self.spec.name);
        Error::Died { component, status: status.to_owned(), output, log: self.console.clone() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_network_and_the_folders() {
        let boot = Boot { kernel: "/c/vmlinuz".into(), initrd: "/c/initrd".into() };
        let mut spec =
            Spec { name: "node3".to_owned(), folder: "/run/a,b".into(), memory: 1536, cpus: 2, network: None };
        assert!(!spec.argv(&boot).iter().any(|arg| arg == "-netdev"));
        spec.network = Some(Network {
            tap: "tnode3".to_owned(),
            number: 4,
            addresses: vec!["172.31.77.4/24".to_owned(), "fd77::4/64".to_owned()],
            gateways: vec!["172.31.77.1".to_owned()],
        });
        let argv = spec.argv(&boot);
        assert!(argv.iter().any(|arg| arg.starts_with("local,path=/run/a,,b/host,mount_tag=host,")));
        assert!(argv.iter().any(|arg| arg.ends_with("mac=52:54:00:77:00:04")));
        assert_eq!(
            argv.last().map(String::as_str),
            Some(
                "console=ttyS0 panic=-1 quiet lab.name=node3 lab.address=172.31.77.4/24 lab.address=fd77::4/64 \
                 lab.via=172.31.77.1"
            )
        );
    }
}
