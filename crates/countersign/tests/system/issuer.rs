//! An authorization server under the test's control: a thread that answers on a port of this machine, keys, and tokens of any claims.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

/// What the server has and says.
pub struct Issuer {
    pub url: String,
    pair: EcdsaKeyPair,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    documents: Mutex<BTreeMap<String, String>>,
    /// How far its clock is ahead, in seconds.
    ahead: AtomicI64,
    asked: AtomicUsize,
}

impl Issuer {
    pub fn start() -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pair = key_pair();
        let key = jwk("one", &pair);
        let shared = Arc::new(Shared::default());
        let issuer = Issuer { url, pair, shared: Arc::clone(&shared) };
        let metadata = json!({"issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url)});
        issuer.publish("/.well-known/oauth-authorization-server", &metadata);
        issuer.publish("/jwks", &json!({"keys": [key]}));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream, &shared));
            }
        });
        issuer
    }

    pub fn publish(&self, path: &str, document: &Value) {
        self.shared.documents.lock().unwrap().insert(path.to_owned(), document.to_string());
    }

    /// Publishes a second key beside the one that signs.
    pub fn add_key(&self) {
        let second = key_pair();
        self.publish("/jwks", &json!({"keys": [jwk("one", &self.pair), jwk("two", &second)]}));
    }

    /// Has nothing any more.
    pub fn forget_all(&self) {
        self.shared.documents.lock().unwrap().clear();
    }

    /// Sets its clock this many seconds ahead.
    pub fn set_ahead(&self, seconds: i64) {
        self.shared.ahead.store(seconds, Ordering::SeqCst);
    }

    /// A token for `resource`, with the claims of a good one, changed.
    pub fn token(&self, resource: &str, change: impl FnOnce(&mut Value)) -> String {
        self.forged(resource, |_, claims| change(claims))
    }

    /// As [`Issuer::token`], with the header changed as well.
    pub fn forged(&self, resource: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let now = now();
        let mut claims = json!({
            "iss": self.url, "sub": "ada", "aud": resource, "client_id": "desk", "jti": format!("t{now}"),
            "iat": now - 5, "exp": now + 300, "scope": "tools:read", "org": "acme", "roles": ["operator"],
        });
        let mut header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "one"});
        change(&mut header, &mut claims);
        sign(&self.pair, &header, &claims)
    }

    /// What everybody can read of its key.
    pub fn public_key(&self) -> String {
        jwk("one", &self.pair).to_string()
    }

    /// How often somebody asked it for something.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// The configuration that trusts it.
    pub fn settings(&self, resource: &str) -> String {
        format!(
            "[identity]\nresource = \"{resource}\"\n[identity.issuers.corp]\nurl = \"{}\"\ntenant_claim = \"org\"\ntenants = [\"acme\"]\n\
             roles = [\"operator\"]\n",
            self.url
        )
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn key_pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

/// A compact token with exactly this header and these claims.
pub fn sign(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL.encode(signature.as_ref()))
}

pub fn jwk(id: &str, pair: &EcdsaKeyPair) -> Value {
    let point = pair.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
        "x": BASE64URL.encode(&point[1..33]), "y": BASE64URL.encode(&point[33..65]),
    })
}

fn answer(mut stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let found = shared.documents.lock().unwrap().get(&path).cloned();
    let (status, text) = found.map_or(("404 Not Found", String::new()), |text| ("200 OK", text));
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        http_date(shared.ahead.load(Ordering::SeqCst)),
        text.len()
    );
}

/// SPEC: RFC 9110 §5.6.7.
fn http_date(ahead: i64) -> String {
    let at = now().saturating_add_signed(ahead);
    let text = countersign_identity::Timestamp::from_unix(at).to_string();
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(at / 86_400 % 7).unwrap()];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[text[5..7].parse::<usize>().unwrap() - 1];
    format!("{day}, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}
