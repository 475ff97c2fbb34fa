//! The certificate that a server presents, read by a handshake of its own: it is looked at, not trusted.

use std::{
    fmt::Write as _,
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// The chain that `host:port` presents, in PEM. `name` is what it is asked for, where that is not the
/// host. Nothing is sent but the handshake.
///
/// # Errors
/// In words, where no chain was presented in time.
pub fn presented_chain(host: &str, port: u16, name: Option<&str>, limit: Duration) -> Result<String, String> {
    let until = Instant::now() + limit;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let server = ServerName::try_from(name.unwrap_or(host).to_owned())
        .map_err(|_| format!("\"{}\" is no server name", name.unwrap_or(host)))?;
    let mut stream = connect((host, port), until)?;
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left))).map_err(words)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        .with_no_client_auth();
    config.enable_sni = true;
    let mut connection = ClientConnection::new(Arc::new(config), server).map_err(|error| error.to_string())?;
    let mut outcome = Ok(());
    while connection.is_handshaking() && outcome.is_ok() {
        outcome = if Instant::now() < until {
            connection.complete_io(&mut stream).map(|_| ()).map_err(words)
        } else {
            Err("timed out".to_owned())
        };
    }
    connection.send_close_notify();
    let _ = connection.complete_io(&mut stream);
    // A server that wants a client's certificate ends the handshake after it has shown its own.
    match (connection.peer_certificates(), outcome) {
        (Some(chain), _) if !chain.is_empty() => Ok(chain.iter().map(|certificate| pem(certificate)).collect()),
        (_, Err(reason)) => Err(reason),
        (_, Ok(())) => Err("the server presented no certificate".to_owned()),
    }
}

fn connect(address: (&str, u16), until: Instant) -> Result<TcpStream, String> {
    let mut reason = "has no address".to_owned();
    for address in address.to_socket_addrs().map_err(words)? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("timed out".to_owned());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = words(error),
        }
    }
    Err(reason)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn words(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => "timed out".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}

/// DER as PEM, 64 characters a line.
fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----");
    for (index, triple) in der.chunks(3).enumerate() {
        if index % 16 == 0 {
            text.push('\n');
        }
        let bits = triple.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - triple.len()));
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place) & 63) as usize;
            let letter = if place <= triple.len() { ALPHABET.get(six).copied().unwrap_or(b'=') } else { b'=' };
            text.push(char::from(letter));
        }
    }
    let _ = writeln!(text, "\n-----END CERTIFICATE-----");
    text
}

/// Takes any chain; signatures of the handshake are still checked, so that the chain is the server's own.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn pem_reads_back() {
        for length in [0, 1, 2, 3, 47, 48, 49, 96, 1000] {
            let der: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let text = pem(&der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(CertificateDer::from_pem_slice(text.as_bytes()).unwrap().as_ref(), der, "{length}");
        }
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = presented_chain("127.0.0.1", port, None, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error, "timed out");
    }

    #[test]
    fn a_server_that_speaks_no_tls_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let error = presented_chain("127.0.0.1", port, None, Duration::from_secs(5)).unwrap_err();
        server.join().unwrap();
        assert!(!error.is_empty() && error != "timed out", "{error}");
    }
}
