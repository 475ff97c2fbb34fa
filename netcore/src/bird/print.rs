//! Back to what `birdcl show protocols all` and `show route all` print, in the form of version 2. What the
//! model does not keep (timers, capabilities, change counts) is not there.

use std::fmt::{self, Display, Formatter};

use super::model::{Bird, Channel, PeerRoute, Protocol};

impl Display for Bird {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(version) = &self.version {
            writeln!(f, "BIRD {version} ready.")?;
        }
        if let Some(id) = &self.router_id {
            writeln!(f, "Router ID is {id}")?;
        }
        if !self.protocols.is_empty() {
            writeln!(f, "Name       Proto      Table      State  Since         Info")?;
        }
        self.protocols.iter().try_for_each(|protocol| write!(f, "{protocol}"))?;
        let mut last = None;
        for route in &self.routes {
            route.write(last == route.destination, f)?;
            last = route.destination;
        }
        Ok(())
    }
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let table = if self.table.is_empty() { "---" } else { &self.table };
        writeln!(f, "{} {} {table} {} {} {}", self.name, self.kind, self.state, self.since, self.info)?;
        let mut field = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(f, "    {name}: {value}"),
            None => Ok(()),
        };
        field("BGP state", self.bgp_state.clone())?;
        field("Neighbor address", self.neighbor.map(|ip| ip.to_string()))?;
        field("Neighbor AS", self.neighbor_as.map(|number| number.to_string()))?;
        field("Local AS", self.local_as.map(|number| number.to_string()))?;
        field("Neighbor ID", self.neighbor_id.clone())?;
        field("Source address", self.source.map(|ip| ip.to_string()))?;
        field("Last error", self.last_error.clone())?;
        self.channels.iter().try_for_each(|channel| write!(f, "{channel}"))
    }
}

impl Display for Channel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            writeln!(f, "  Channel {}", self.name)?;
        }
        for (name, value) in [
            ("State", &self.state),
            ("Table", &self.table),
            ("Input filter", &self.input_filter),
            ("Output filter", &self.output_filter),
        ] {
            if !value.is_empty() {
                writeln!(f, "    {name}: {value}")?;
            }
        }
        for limit in &self.limits {
            let hit = if limit.hit { " [HIT]" } else { "" };
            let mut direction = limit.direction.clone();
            if let Some(first) = direction.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            writeln!(f, "    {direction} limit: {}{hit}", limit.routes)?;
            if !limit.action.is_empty() {
                writeln!(f, "      Action: {}", limit.action)?;
            }
        }
        let counts = [
            (self.routes.imported, "imported"),
            (self.routes.filtered, "filtered"),
            (self.routes.exported, "exported"),
            (self.routes.preferred, "preferred"),
        ];
        let counts: Vec<String> =
            counts.iter().filter_map(|(count, name)| count.map(|count| format!("{count} {name}"))).collect();
        if counts.is_empty() { Ok(()) } else { writeln!(f, "    Routes: {}", counts.join(", ")) }
    }
}

impl PeerRoute {
    /// One way; `again` where the way before it leads to the same destination.
    fn write(&self, again: bool, f: &mut Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) if !again => write!(f, "{destination} ")?,
            _ => f.write_str("                     ")?,
        }
        write!(f, "{} [{} {}", self.kind, self.protocol, self.since)?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        f.write_str(if self.best { "] *" } else { "]" })?;
        match self.preference {
            Some(preference) => writeln!(f, " ({preference})")?,
            None => writeln!(f)?,
        }
        for at in 0..self.via.len().max(self.devices.len()) {
            match (self.via.get(at), self.devices.get(at)) {
                (Some(via), Some(device)) => writeln!(f, "\tvia {via} on {device}")?,
                (Some(via), None) => writeln!(f, "\tvia {via}")?,
                (None, Some(device)) => writeln!(f, "\tdev {device}")?,
                (None, None) => {}
            }
        }
        if let Some(path) = &self.as_path {
            writeln!(f, "\tBGP.as_path: {path}")?;
        }
        match self.next_hop {
            Some(hop) => writeln!(f, "\tBGP.next_hop: {hop}"),
            None => Ok(()),
        }
    }
}
