//! The internet on one machine: a network namespace in which every address, of the world and of the inside, is answered by the test itself,
//! and a name server that says what the test tells it. What a client reaches there it would have reached outside.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

/// Says to a test that it runs inside.
const INSIDE: &str = "COUNTERSIGN_TEST_INTERNET";

/// Every address leads here; packets to it come from a loopback address, so that none of them counts as the machine's own. Names are asked of
/// the test alone.
const SETUP: &str = "set -e
PATH=$PATH:/sbin:/usr/sbin
ip link set lo up
ip route add local 0.0.0.0/0 dev lo src 127.0.0.1
ip -6 route add local ::/0 dev lo src ::1
ip address add 198.41.0.4/32 dev lo
mount -t tmpfs none /mnt
printf 'nameserver 127.0.0.1\\noptions timeout:2 attempts:1\\n' > /mnt/resolv.conf
printf 'hosts: files dns\\n' > /mnt/nsswitch.conf
mount --bind /mnt/resolv.conf /etc/resolv.conf
mount --bind /mnt/nsswitch.conf /etc/nsswitch.conf
exec \"$0\" \"$@\"";

/// An address of the machine itself inside: a public one, which no table knows to be ours.
pub const OWN_ADDRESS: &str = "198.41.0.4";

/// Runs the calling test, by its full name, once more inside, and passes on how it ended. `true` inside: the caller goes on there, and
/// returns where this is `false`.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let binary = std::env::current_exe().expect("a test has a file");
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", SETUP])
        .arg(binary)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        // Whoever asks the environment for a proxy finds one that is dead.
        .envs(
            ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
                .map(|name| (name, "http://127.0.0.1:9")),
        )
        .status()
        .expect("no `unshare` program: run `cargo xtask setup`");
    assert!(status.success(), "{test} failed in a network of its own; user namespaces and `ip` are needed");
    false
}

/// What a name answers: the answers to one question after the other, the last one for ever.
type Answers = Vec<Vec<IpAddr>>;

/// A name server on port 53 of loopback.
#[derive(Clone, Default)]
pub struct Names {
    script: Arc<Mutex<BTreeMap<String, Answers>>>,
    others: Arc<Mutex<Vec<IpAddr>>>,
}

impl Names {
    /// Starts it; it ends with the process.
    pub fn serve() -> Names {
        let names = Names::default();
        let socket = UdpSocket::bind("127.0.0.1:53").expect("port 53 is free inside");
        let served = names.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                if let Some(answer) = question.get(..length).and_then(|question| served.answer(question)) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        names
    }

    /// Forgets all names, and answers others with `others`; with none, they do not exist.
    pub fn reset(&self, others: Vec<IpAddr>) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Sets what a name answers.
    pub fn set(&self, name: &str, answers: Vec<Vec<IpAddr>>) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), answers);
    }

    /// SPEC: RFC 1035 §4.1.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = name(question.get(12..)?)?;
        let kind = u16::from_be_bytes(rest.first_chunk().copied()?);
        let found = self.lookup(&name, kind == A);
        let addresses: Vec<Vec<u8>> =
            found.iter().flatten().filter_map(|address| bytes(*address, kind)).collect();
        let code: u8 = if found.is_some() { 0 } else { 3 };
        let mut answer = question.get(..2)?.to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0]);
        answer.extend(question.get(12..question.len() - rest.len() + 4)?);
        for address in addresses {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(address.len()).ok()?]);
            answer.extend(address);
        }
        Some(answer)
    }

    fn lookup(&self, name: &str, counts: bool) -> Option<Vec<IpAddr>> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(answers) = script.get_mut(name) else {
            let others = self.others.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return (!others.is_empty()).then_some(others);
        };
        let answer = answers.first().cloned().unwrap_or_default();
        if counts && answers.len() > 1 {
            answers.remove(0);
        }
        Some(answer)
    }
}

const A: u16 = 1;
const AAAA: u16 = 28;

fn bytes(address: IpAddr, kind: u16) -> Option<Vec<u8>> {
    match (address, kind) {
        (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
        (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
        _ => None,
    }
}

/// The first name of a message's questions, and what follows it.
fn name(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        if *length == 0 {
            return Some((labels.join("."), rest));
        }
        let (label, rest) = rest.split_at_checked((*length).into())?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        bytes = rest;
    }
}
