//! TLS at the door of the real binary: which versions and certificates, and what a new certificate needs.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_identity::oauth::certificate_hash;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, RevokedCertParams, SerialNumber,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::{TLS12, TLS13},
};

use crate::{issuer::Issuer, world::*};

pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, as a client holds them.
pub type Held = (CertificateDer<'static>, PrivateKeyDer<'static>);

pub fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name, signed by an authority.
pub fn signed(by: &Authority, name: &str) -> Held {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, by).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// Writes a server's certificate and key where the configuration has them.
pub fn write_server(dir: &Path, by: &Authority, params: CertificateParams) {
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("server.pem"), params.signed_by(&key, by).unwrap().pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(dir.join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn localhost() -> CertificateParams {
    CertificateParams::new(vec!["localhost".into()]).unwrap()
}

/// How a client connects.
#[derive(Clone, Copy)]
struct Caller<'c> {
    port: u16,
    trusted: &'c Authority,
    held: Option<&'c Held>,
    versions: &'static [&'static SupportedProtocolVersion],
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Caller<'_> {
    fn open(&self) -> std::io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match self.held {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
        };
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// One request; an error when the handshake, or what follows it, is refused.
    fn send(&self, authorization: &str, method: &str, params: Value) -> std::io::Result<Answer> {
        let mut stream = self.open()?;
        stream.write_all(request("localhost", authorization, method, params).as_bytes())?;
        read_answer(&mut BufReader::new(stream))
    }

    fn list(&self, authorization: &str) -> std::io::Result<Answer> {
        self.send(authorization, "tools/list", json!({}))
    }

    /// The certificate that the server shows.
    fn shown(&self) -> Vec<u8> {
        let mut stream = self.open().unwrap();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.open().and_then(|mut s| s.conn.complete_io(&mut s.sock).map(drop)).is_err() {
            assert!(Instant::now() < deadline, "the server does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
const ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];

const FILES: &str = "[server.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";

fn world(own: &Authority, extra: &str) -> World {
    let extra = format!("{FILES}{extra}");
    World::new_with(Shape { extra, ..Shape::default() }, |dir| write_server(dir, own, localhost()))
}

/// The last record with this text, if there is one. The configuration is not read for it.
pub fn recorded(world: &World, text: &str) -> Option<String> {
    let dir = world.audit();
    let found =
        world.try_command(&["audit", "search", text, "-n", "1", "--json", "--dir", dir.to_str().unwrap()]);
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    found.contains(text).then_some(found)
}

/// Waits until the log holds a record with this text, and returns it.
pub fn event(world: &World, text: &str) -> String {
    event_of(world, text, || {})
}

/// As [`event`], for something that `provoke` brings about in the end.
pub fn event_of(world: &World, text: &str, mut provoke: impl FnMut()) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        provoke();
        if let Some(found) = recorded(world, text) {
            return found;
        }
        assert!(Instant::now() < deadline, "the log does not say `{text}`");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_certificate_is_replaced_while_the_server_runs() {
    let own = authority();
    let world = world(&own, "");
    let server = world.start();
    let caller = Caller { port: world.port, trusted: &own, held: None, versions: BOTH };
    caller.wait();
    let first = caller.shown();
    let bearer = format!("Bearer {}", world.ann);
    assert_eq!(caller.list(&bearer).unwrap().status, 200);
    // A connection that is open goes on with the certificate that it began with.
    let mut open = caller.open().unwrap();
    open.write_all(request("localhost", &bearer, "tools/list", json!({})).as_bytes()).unwrap();

    write_server(world.dir.path(), &own, localhost());
    server.signal("-HUP");
    event(&world, "certificate-changed");
    let second = caller.shown();
    assert_ne!(first, second);
    assert_eq!(caller.list(&bearer).unwrap().status, 200);
    assert_eq!(read_answer(&mut BufReader::new(open)).unwrap().status, 200);

    // What cannot be used changes nothing: a key that others can read, and then no certificate at all.
    let key = world.dir.path().join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    server.signal("-HUP");
    event(&world, "certificate-rejected");
    std::fs::write(world.dir.path().join("server.pem"), "no certificate").unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(caller.shown(), second);
    assert_eq!(caller.list(&bearer).unwrap().status, 200);
    server.stop();
}

#[test]
fn versions_before_1_2_and_plain_http_get_no_answer() {
    let own = authority();
    let world = world(&own, "");
    let _server = world.start();
    let caller = Caller { port: world.port, trusted: &own, held: None, versions: BOTH };
    caller.wait();
    for versions in [ONLY_12, ONLY_13] {
        let bearer = format!("Bearer {}", world.ann);
        assert_eq!(Caller { versions, ..caller }.list(&bearer).unwrap().status, 200);
    }
    let ask = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = vec![0; 7];
        let read = stream.read_exact(&mut answer);
        read.map_or_else(|_| Vec::new(), |()| answer)
    };
    // A handshake (22) with 1.2, and with what came before it a fatal (2) alert (21).
    assert_eq!(ask(&hello(3))[0], 22);
    for minor in [1, 2] {
        let answer = ask(&hello(minor));
        assert_eq!((answer[0], answer[5]), (21, 2), "{answer:?}");
    }
    let plain = ask(request("localhost", "", "tools/list", json!({})).as_bytes());
    assert!(!plain.starts_with(b"HTTP"), "{plain:?}");
    assert!(event(&world, "tls-refused").contains("handshake"));
}

/// SPEC: RFC 5246 §7.4.1.2: the first message of a client that knows TLS 1.0 (`minor` 1), 1.1 (2) or 1.2 (3) and nothing later.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session; ECDHE and ECDSA with AES-128, as GCM and as CBC; no compression.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    // Groups (P-256), point formats (uncompressed), signatures (ECDSA with P-256 and SHA-256), extended master secret.
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23].as_slice(),
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 23, 0, 0],
    ]
    .concat();
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let head = [22, 3, 1, 0, length + 4, 1, 0, 0, length];
    [&head[..], &body].concat()
}

#[test]
fn plain_http_beyond_this_machine_does_not_start() {
    let world = World::new(Shape::default());
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:")).unwrap();
    let output = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("must be a loopback address"), "{said}");
    // With TLS it does.
    let own = authority();
    write_server(world.dir.path(), &own, localhost());
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config + FILES).unwrap();
    let _server = world.start();
    Caller { port: world.port, trusted: &own, held: None, versions: BOTH }.wait();
}

const CLIENTS: &str = "clients = \"required\"\nclient_ca = \"clients.pem\"\n[identity.certificates.nightly]\n\
     matches = \"dns:nightly.bank.example\"\ntenant = \"acme\"\nroles = [\"operator\"]\n";

#[test]
fn clients_are_who_their_certificate_says() {
    let (own, clients, stranger) = (authority(), authority(), authority());
    let world = world(&own, CLIENTS);
    std::fs::write(world.dir.path().join("clients.pem"), clients.pem()).unwrap();
    let _server = world.start();
    let nightly = signed(&clients, "nightly.bank.example");
    let caller = Caller { port: world.port, trusted: &own, held: Some(&nightly), versions: BOTH };
    caller.wait();
    let called = caller
        .send("", "tools/call", json!({"name": "query_shop", "arguments": {"query": "SELECT 41 + 1"}}))
        .unwrap();
    assert!(called.status == 200 && called.body.contains("42"), "{called:?}");
    let record = event(&world, "nightly");
    assert!(record.contains("certificates"), "{record}");

    // The attacks: no certificate, one of another authority in the same name, one of the authority that nobody is named for.
    let none = Caller { held: None, ..caller };
    assert!(none.list("").is_err() && none.list(&format!("Bearer {}", world.ann)).is_err());
    let forged = signed(&stranger, "nightly.bank.example");
    assert!(Caller { held: Some(&forged), ..caller }.list("").is_err());
    event(&world, "tls-refused");
    let other = signed(&clients, "mallory.bank.example");
    assert_eq!(Caller { held: Some(&other), ..caller }.list("").unwrap().status, 401);
    event(&world, "certificate-unknown");
}

/// Writes the list of what an authority has revoked.
fn write_revoked(dir: &Path, by: &Authority, serials: &[u64]) {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2096, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    std::fs::write(dir.join("revoked.pem"), list.signed_by(by).unwrap().pem().unwrap()).unwrap();
}

#[test]
fn a_certificate_that_is_revoked_ends_on_open_connections() {
    let (own, clients) = (authority(), authority());
    let world = world(&own, &CLIENTS.replace("client_ca", "client_crl = \"revoked.pem\"\nclient_ca"));
    let dir = world.dir.path();
    std::fs::write(dir.join("clients.pem"), clients.pem()).unwrap();
    write_revoked(dir, &clients, &[6]);
    let server = world.start();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["nightly.bank.example".into()]).unwrap();
    params.serial_number = Some(SerialNumber::from(7));
    let certificate = params.signed_by(&key, &clients).unwrap().der().clone();
    let nightly = (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    let caller = Caller { port: world.port, trusted: &own, held: Some(&nightly), versions: BOTH };
    caller.wait();
    let mut open = BufReader::new(caller.open().unwrap());
    let mut list = || {
        let kept = request("localhost", "", "tools/list", json!({})).replace("Connection: close\r\n", "");
        open.get_mut().write_all(kept.as_bytes())?;
        read_answer(&mut open)
    };
    assert_eq!(list().unwrap().status, 200);
    // A list that revokes another certificate changes nothing for this one.
    server.signal("-HUP");
    event(&world, "certificate-unchanged");
    assert_eq!(list().unwrap().status, 200);

    write_revoked(dir, &clients, &[6, 7]);
    server.signal("-HUP");
    let deadline = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        match list().unwrap() {
            answer if answer.status == 200 => assert!(Instant::now() < deadline, "it goes on"),
            answer => break answer,
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((refused.status, refused.header("connection")), (401, Some("close")), "{refused:?}");
    assert!(list().is_err(), "it was the last answer");
    assert!(caller.list("").is_err(), "nor is there a new connection");
    event(&world, "certificate-withdrawn");
}

#[test]
fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_with_another() {
    let (own, clients, issuer) = (authority(), authority(), Issuer::start());
    let resource = "https://localhost/mcp";
    let settings = issuer.settings(resource);
    let world = world(&own, &format!("clients = \"optional\"\nclient_ca = \"clients.pem\"\n{settings}"));
    std::fs::write(world.dir.path().join("clients.pem"), clients.pem()).unwrap();
    let _server = world.start();
    let (holder, thief) = (signed(&clients, "ada.bank.example"), signed(&clients, "eve.bank.example"));
    let caller = Caller { port: world.port, trusted: &own, held: Some(&holder), versions: BOTH };
    caller.wait();
    let hash = BASE64URL.encode(certificate_hash(&holder.0));
    // The attack works with a token that is bound to nothing.
    let plain = format!("Bearer {}", issuer.token(resource, |_| {}));
    let stolen = Caller { held: Some(&thief), ..caller };
    assert_eq!(stolen.list(&plain).unwrap().status, 200);

    let bound = issuer.token(resource, |claims| claims["cnf"] = json!({"x5t#S256": hash}));
    let bound = format!("Bearer {bound}");
    assert_eq!(caller.list(&bound).unwrap().status, 200, "its holder");
    for (who, caller) in [("a thief", stolen), ("nobody", Caller { held: None, ..caller })] {
        let answer = caller.list(&bound).unwrap();
        assert_eq!(answer.status, 401, "{who}: {answer:?}");
    }
    event(&world, "token-unbound");
}
