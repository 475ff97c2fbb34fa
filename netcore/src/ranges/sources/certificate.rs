//! The API server's serving certificate: the names and addresses that it vouches for.

use std::net::IpAddr;

use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use crate::ranges::{Facts, Given, Source, Want};

/// The subject alternative names of the serving certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingCertificate {
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Host names.
    pub names: Vec<String>,
}

/// The handshake's certificate.
pub(super) struct Certificate;

const OBJECT: &str = "serving certificate";

impl Source for Certificate {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn wants(&self, _: &Facts) -> Vec<Want> {
        vec![Want::ServingCertificate]
    }

    fn take(&self, given: Given<'_>, facts: &mut Facts) {
        let Given::ServingCertificate(pem) = given else { return };
        match read(pem) {
            Ok(certificate) => facts.known.certificate = Some(certificate),
            Err(reason) => facts.problem(OBJECT, reason),
        }
    }

    /// A dump never has it.
    fn applies(&self, _: &Facts) -> Option<String> {
        None
    }
}

fn read(pem: &str) -> Result<ServingCertificate, String> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|error| format!("not a certificate in PEM: {error}"))?;
    let certificate = block.parse_x509().map_err(|error| format!("not an X.509 certificate: {error}"))?;
    let alternative = certificate.subject_alternative_name().map_err(|error| format!("subjectAltName: {error}"))?;
    let mut found = ServingCertificate::default();
    for name in alternative.into_iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => found.names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(v4), _) => found.ips.push(IpAddr::from(v4)),
                (_, Ok(v6)) => found.ips.push(IpAddr::from(v6)),
                _ => {
                    return Err(format!("subjectAltName: an address of {} bytes; 4 or 16 would be valid", bytes.len()));
                }
            },
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    // made for this test with openssl: SAN DNS:kubernetes, IP:10.96.0.1, IP:fd00:96::1; its key was not kept
    const PEM: &str = include_str!("certificate_test.pem");

    #[test]
    fn addresses_of_both_families_and_names() {
        let mut facts = Facts::default();
        Certificate.take(Given::ServingCertificate(PEM), &mut facts);
        let certificate = facts.known.certificate.unwrap();
        assert_eq!(certificate.names, ["kubernetes"]);
        assert_eq!(certificate.ips, ["10.96.0.1".parse::<IpAddr>().unwrap(), "fd00:96::1".parse().unwrap()]);
    }

    #[test]
    fn rubbish_is_named() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let mut facts = Facts::default();
            Certificate.take(Given::ServingCertificate(text), &mut facts);
            assert_eq!(facts.unreadable.len(), 1, "{text}");
        }
    }
}
