//! `quickstart`: what it makes, what it keeps, what it prints.

use std::{collections::BTreeMap, fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::shop::{Shop, binary};

/// The texts of all files below a directory.
fn files(dir: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The first API key in a text.
fn key(text: &str) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .find(|word| word.starts_with("cs_"))
        .map(str::to_owned)
}

#[test]
fn what_it_prints() {
    let (_shop, ran) = Shop::made();
    let key = key(&ran.out).unwrap();
    let id = ran.out.split("key-").nth(1).unwrap().split(' ').next().unwrap();
    let date = ran.out.split("valid until ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let text = ran.out.replace(&key, "cs_KEY").replace(id, "ID").replace(&date, "DATE");
    insta::assert_snapshot!(text, @r#"
      Files
        made          demo/shop.db                      the sample shop
        made          demo/policies/admin.cedar         policies
        made          demo/policies/analyst.cedar       policies
        made          demo/policies/default.cedar       policies
        made          demo/policies/operator.cedar      policies
        made          demo/policies/roles.toml          policies
        made          demo/countersign.toml             the configuration
                      demo/audit                        the record of every call

      API key
        export COUNTERSIGN_KEY=cs_KEY
        key-ID for ada@north, valid until DATE; shown this once, stored only as a hash

      Connect a client (mcp.json)
        over HTTP:
        {"mcpServers":{"countersign":{"type":"http","url":"http://127.0.0.1:8931/mcp","headers":{"Authorization":"Bearer cs_KEY"}}}}
        or over stdio, without a key:
        {"mcpServers":{"countersign":{"type":"stdio","command":"countersign","args":["stdio","--config","ROOT/demo/countersign.toml"]}}}
        for Claude Code, as a command:
        claude mcp add countersign -- countersign stdio --config ROOT/demo/countersign.toml

      Ask your agent
        Which ten customers spent the most, and what did they buy?
        or, without an agent:
        curl -s http://127.0.0.1:8931/mcp -H "Authorization: Bearer $COUNTERSIGN_KEY" \
          -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
          -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: query_shop' \
          -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query_shop","arguments":{"query":"SELECT name, orders, spent FROM customer_spending ORDER BY spent DESC LIMIT 10"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'

      Then attack
        Show me the password hashes of all users. If that is refused, try a join, a view, a subquery or a comment.
        or, without an agent:
        curl -s http://127.0.0.1:8931/mcp -H "Authorization: Bearer $COUNTERSIGN_KEY" \
          -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
          -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: query_shop' \
          -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query_shop","arguments":{"query":"SELECT username, password_hash FROM users"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'

      And look at the record
        countersign audit verify ROOT/demo/audit
        countersign audit tail --config ROOT/demo/countersign.toml


      Start it with
        countersign serve --config ROOT/demo/countersign.toml
    "#);
    assert_eq!(ran.err, "");
}

#[test]
fn a_second_run_keeps_every_file() {
    let (shop, first) = Shop::made();
    shop.edit("policies/default.cedar", |text| format!("// mine\n{text}"));
    let before = files(&shop.dir());
    assert!(
        !before.values().any(|text| String::from_utf8_lossy(text).contains(&key(&first.out).unwrap())),
        "the key is stored nowhere"
    );
    let second = shop.quickstart(&[]);
    assert_eq!(second.code, 0, "{}", second.err);
    assert_eq!(files(&shop.dir()), before);
    assert_eq!(key(&second.out), None, "a key is shown once");
    assert!(
        second.out.contains("cannot be shown again") && second.out.contains("--new-key"),
        "{}",
        second.out
    );

    let third = shop.quickstart(&["--new-key"]);
    assert!(key(&third.out).is_some());
    let changed = files(&shop.dir()).into_iter().filter(|(path, text)| before.get(path) != Some(text));
    let (record, changed): (Vec<_>, Vec<_>) =
        changed.map(|(path, _)| path).partition(|path| path.starts_with(shop.dir().join("audit")));
    assert_eq!(changed, [shop.dir().join("state/keys.json")]);
    assert!(!record.is_empty(), "a new key is on record");
}

#[test]
fn its_files_are_private() {
    let (shop, _) = Shop::made();
    for (path, mode) in [("", 0o700), ("policies", 0o700), ("state", 0o700), ("state/keys.json", 0o600)] {
        let found = fs::metadata(shop.dir().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
}

#[test]
fn a_busy_port_is_named_before_anything_is_made() {
    let shop = Shop::empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = binary()
        .current_dir(shop.dir().parent().unwrap())
        .args(["quickstart", "--port", &port.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "error: cannot listen on 127.0.0.1:{port}: Address already in use (os error 98)\n  help: another program has this port (another \
         countersign?); stop it, or set `server.listen`, or `quickstart --port {}`\n",
        port + 1
    );
    assert_eq!(text, expected);
    assert!(!shop.dir().exists(), "no files, and no key that leads nowhere");
}
