//! A certificate authority and server certificates, made by the `openssl` program for one test run.

use std::path::Path;
use std::process::{Command, Stdio};

/// Writes `ca.pem`, `server.pem` and `server.key` for 127.0.0.1 and `localhost` into `dir`. The authority's own key is not kept.
pub(crate) fn make(dir: &Path) {
    certificate(dir, &["IP:127.0.0.1", "DNS:localhost"]);
}

/// Writes `ca.pem`, `server.pem` and `server.key` for these names (`DNS:example.com`, `IP:192.0.2.1`) into `dir`. The authority's own key
/// is not kept.
pub fn certificate(dir: &Path, names: &[impl AsRef<str>]) {
    let authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=testbed-ca \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem";
    let request = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=testbed -keyout server.key -out server.csr";
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem";
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let extensions = format!(
        "subjectAltName={}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n",
        names.join(",")
    );
    std::fs::write(dir.join("server.ext"), extensions).expect("the extensions are written");
    for arguments in [authority, request, sign] {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(dir).stdin(Stdio::null());
        let output = command.output().expect("no `openssl` program: run `cargo xtask setup`");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_file(dir.join("ca.key")).expect("the authority's key is removed");
}
