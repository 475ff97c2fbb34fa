//! Certificates and kubeconfigs, made anew for each lab; its authority's key never leaves the lab's folder.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

use crate::{
    Error,
    plan::{API_PORT, Machine},
};

/// The first address of the Services' ranges, by which pods know the API server.
const KUBERNETES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1))];

/// Writes everything into a folder: `ca`, `apiserver`, `apiserver-kubelet-client`, `kubelet-NODE` as `.crt` and
/// `.key`, `sa.key` and `sa.pub`, and kubeconfigs: `admin.conf` for the port on this machine's loopback, and
/// `controller-manager.conf`, `scheduler.conf`, `kubelet-NODE.conf` for the address inside.
pub fn write(folder: &Path, nodes: &[Machine], port: u16) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let authority = Authority::new()?;
    let ours = Folder { folder, authority: &authority };
    ours.keep("ca.crt", &authority.certificate)?;
    ours.keep("ca.key", &authority.issuer.key().serialize_pem())?;

    let tokens = KeyPair::generate().map_err(fault)?;
    ours.keep("sa.key", &tokens.serialize_pem())?;
    ours.keep("sa.pub", &tokens.public_key_pem())?;

    let control = Machine::control();
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let own = [control.v4().into(), control.v6().into(), Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let addresses: Vec<IpAddr> = own.into_iter().chain(KUBERNETES).collect();
    ours.pair("apiserver", &authority.issue("kube-apiserver", None, &names, &addresses)?)?;
    let masters = Some("system:masters");
    let client = authority.issue("kube-apiserver-kubelet-client", masters, &[], &[])?;
    ours.pair("apiserver-kubelet-client", &client)?;

    let inside = format!("https://{}:{API_PORT}", control.v4());
    let admin = authority.issue("kubernetes-admin", masters, &[], &[])?;
    ours.kubeconfig("admin", "kubernetes-admin", &format!("https://127.0.0.1:{port}"), &admin)?;
    for name in ["controller-manager", "scheduler"] {
        let user = format!("system:kube-{name}");
        ours.kubeconfig(name, &user, &inside, &authority.issue(&user, None, &[], &[])?)?;
    }
    for node in nodes {
        let user = format!("system:node:{}", node.name);
        let addresses = [node.v4().into(), node.v6().into(), Ipv4Addr::LOCALHOST.into()];
        let issued = authority.issue(&user, Some("system:nodes"), &[&node.name, "localhost"], &addresses)?;
        let name = format!("kubelet-{}", node.name);
        ours.pair(&name, &issued)?;
        ours.kubeconfig(&name, &user, &inside, &issued)?;
    }
    Ok(())
}

/// A lab's own authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both as PEM.
struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = name("kubernetes", None);
        let key = KeyPair::generate().map_err(fault)?;
        let certificate = params.self_signed(&key).map_err(fault)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// For both ends of a connection: a kubelet is client and server.
    fn issue(&self, user: &str, group: Option<&str>, names: &[&str], addresses: &[IpAddr]) -> Result<Issued, Error> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(fault)?;
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        params.distinguished_name = name(user, group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(fault)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fault)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

fn name(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    name
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: rcgen::Error) -> Error {
    Error::Other(format!("certificates: {error}"))
}

struct Folder<'a> {
    folder: &'a Path,
    authority: &'a Authority,
}

impl Folder<'_> {
    /// For its owner alone.
    fn keep(&self, name: &str, content: &str) -> Result<(), Error> {
        use std::io::Write as _;
        let path = self.folder.join(name);
        let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::file(path))
    }

    fn pair(&self, name: &str, issued: &Issued) -> Result<(), Error> {
        self.keep(&format!("{name}.crt"), &issued.certificate)?;
        self.keep(&format!("{name}.key"), &issued.key)
    }

    /// JSON is YAML.
    fn kubeconfig(&self, name: &str, user: &str, server: &str, issued: &Issued) -> Result<(), Error> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {
                "server": server,
                "certificate-authority-data": STANDARD.encode(&self.authority.certificate),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": STANDARD.encode(&issued.certificate),
                "client-key-data": STANDARD.encode(&issued.key),
            }}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        });
        self.keep(&format!("{name}.conf"), &format!("{config:#}\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::plan::Mode;

    #[test]
    fn everything_that_is_started_has_its_files_and_they_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        write(&pki, &[Machine::node(1, false, Mode::Iptables)], 4711).unwrap();
        let files = [
            "ca.crt",
            "ca.key",
            "sa.key",
            "sa.pub",
            "apiserver.crt",
            "apiserver.key",
            "apiserver-kubelet-client.crt",
            "controller-manager.conf",
            "scheduler.conf",
            "kubelet-node1.crt",
            "kubelet-node1.conf",
            "admin.conf",
        ];
        for file in files {
            let mode = fs::metadata(pki.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let admin: serde_json::Value = serde_json::from_slice(&fs::read(pki.join("admin.conf")).unwrap()).unwrap();
        assert_eq!(admin["clusters"][0]["cluster"]["server"], "https://127.0.0.1:4711");
    }
}
