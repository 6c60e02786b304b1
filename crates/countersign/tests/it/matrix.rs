//! Who may do what, as one golden table: every tool that this binary can offer and one object of each kind, for every shipped role. What is
//! missing from the table fails a test, and so does a shipped policy that the table would not miss.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::shop::{Ran, ran};

/// Every section that offers tools: databases of two engines and of two tenants, the catalog, files, pages, programs.
const CONFIG: &str = r#"
version = 1
[identity.local]
uid = 0
user = "ada"
tenant = "acme"
roles = ["reader"]
[databases.shop]
url = "sqlite:shop.db"
allow_writes = true
[databases.ledger]
url = "postgres://reader@127.0.0.1:1/ledger"
allow_writes = true
[databases.vault]
url = "sqlite:vault.db"
tenant = "globex"
[files.docs]
root = "docs"
write = true
[files.closed]
root = "closed"
tenant = "globex"
[fetch]
allow = ["docs.example.com"]
[fetch.send]
allow = ["api.example.com"]
[python]
[commands.ls]
program = "/usr/bin/ls"
description = "Lists files"
root = "docs"
expose = true
[commands.touch]
program = "/usr/bin/touch"
description = "Changes a file"
argv = ["--", "a"]
root = "docs"
write = true
"#;

const CATALOG: &str = r#"
[query.find_customers]
description = "Customers"
database = "shop"
sql = "SELECT id, name FROM customers"
[query.exposed_read_low]
description = "Customers"
database = "shop"
sql = "SELECT id FROM customers"
expose = true
[query.exposed_read_high]
description = "Customers"
database = "shop"
sql = "SELECT id FROM customers"
power = "read-high"
expose = true
[query.exposed_write_low]
description = "Renames"
database = "shop"
sql = "UPDATE customers SET name = 'x' WHERE id = 1"
write = true
power = "write-low"
expose = true
[query.exposed_write_high]
description = "Renames"
database = "shop"
sql = "UPDATE customers SET name = 'x' WHERE id = 1"
write = true
expose = true
[query.exposed_vault]
description = "Customers of the vault"
database = "vault"
sql = "SELECT id FROM customers"
expose = true
[entity.customers]
description = "Who buys"
database = "shop"
table = "customers"
[answer.opening_hours]
description = "When the shop is open"
value = { monday = "8-18" }
"#;

/// Sections and keys of the configuration that offer no tools. A new one stands here, or in [`CONFIG`].
const NO_TOOLS: [&str; 11] = [
    "approval", "audit", "danger", "identity", "limits", "policy", "redact", "sandbox", "server", "state",
    "version",
];

/// Each implementation of a tool in the sources of the crates, with the tools of the table that are such.
const KINDS: [(&str, &[&str]); 25] = [
    ("CountEntities", &["count_entities"]),
    ("DeleteFile", &["delete_file"]),
    ("DescribeEntities", &["describe_entities"]),
    ("DescribeTable", &["describe_table"]),
    ("EditFile", &["edit_file"]),
    ("ExplainQuery", &["explain_query"]),
    (
        "Exposed",
        &[
            "exposed_read_high",
            "exposed_read_low",
            "exposed_vault",
            "exposed_write_high",
            "exposed_write_low",
        ],
    ),
    ("FetchUrl", &["fetch_url"]),
    ("FixedAnswer", &["opening_hours"]),
    ("ListCatalog", &["list_catalog"]),
    ("ListDirectory", &["list_directory"]),
    ("ListTables", &["list_tables"]),
    ("MoveFile", &["move_file"]),
    ("OwnTool", &["run_ls", "run_touch"]),
    ("Query", &["query_ledger", "query_shop", "query_vault"]),
    ("ReadFile", &["read_file"]),
    ("RunCatalogQuery", &["run_catalog_query"]),
    ("RunCommand", &["run_command"]),
    ("RunPython", &["run_python"]),
    ("SearchFiles", &["search_files"]),
    ("SendRequest", &["send_request"]),
    ("StatFile", &["stat_file"]),
    ("TableStatsTool", &["table_stats"]),
    ("Write", &["write_ledger", "write_shop"]),
    ("WriteFile", &["write_file"]),
];

/// At least one object for each action and kind that policies know, and those that the shipped policies single out.
const PROBES: [&str; 31] = [
    "read table shop.customers",
    "read table ledger.public.entries",
    "read table vault.customers",
    "read table shop.restricted_salaries",
    "read table shop.sqlite_master",
    "read table ledger.pg_catalog.pg_authid",
    "write table shop.customers",
    "write table shop.sqlite_master",
    "read column shop.customers.email",
    "read column shop.users.password_hash",
    "write column shop.customers.email",
    "write column shop.users.password_hash",
    "mask column shop.customers.email",
    "use function shop.count",
    "use function shop.load_extension",
    "use function ledger.pg_read_file",
    "use query shop.find_customers",
    "use query vault.exposed_vault",
    "read file docs/a.md",
    "read file docs/.env",
    "read file docs/tls/server.key",
    "read file docs/.git/config",
    "read file closed/a.md",
    "write file docs/a.md",
    "write file docs/.git/hooks/pre-commit",
    "connect host docs.example.com:443",
    "connect host 10.0.0.1:80",
    "write host api.example.com:443",
    "execute command ls",
    "execute command touch",
    "execute interpreter python",
];

/// A directory with everything that [`CONFIG`] names, and the shipped policies.
pub struct Everything {
    dir: tempfile::TempDir,
}

impl Everything {
    pub fn new() -> Everything {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["shop.db", "vault.db"] {
            let database = rusqlite::Connection::open(at(name)).unwrap();
            database
                .execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
                .unwrap();
        }
        for name in ["docs", "closed", "catalog", "policies"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("catalog/all.toml"), CATALOG).unwrap();
        fs::write(at("countersign.toml"), CONFIG).unwrap();
        for (name, text) in countersign_policy::DEFAULT_POLICIES {
            fs::write(at("policies").join(name), text).unwrap();
        }
        Everything { dir }
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(crate::shop::binary().current_dir(self.dir.path()).args(args))
    }

    #[cfg(feature = "prove")]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `policy matrix` or `policy diff` with the probes.
    fn ask(&self, args: &[&str]) -> Ran {
        let probes = PROBES.iter().flat_map(|probe| ["--access", probe]);
        self.run(&args.iter().copied().chain(probes).collect::<Vec<_>>())
    }

    fn table(&self) -> Value {
        let ran = self.ask(&["policy", "matrix", "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// The shipped policies less one, in a directory of their own.
    pub fn without(&self, id: &str) -> PathBuf {
        let dir = self.dir.path().join(format!("without-{id}"));
        fs::create_dir(&dir).unwrap();
        for (name, text) in countersign_policy::DEFAULT_POLICIES {
            fs::write(dir.join(name), less(text, id)).unwrap();
        }
        dir
    }
}

/// A file of policies less the one with this id: from its annotation to the `;` at the end of a line.
fn less(text: &str, id: &str) -> String {
    let Some((before, rest)) = text.split_once(&format!("\n@id(\"{id}\")")) else { return text.to_owned() };
    let (_, after) = rest.split_once(";\n").expect("the end of the policy");
    format!("{before}\n{after}")
}

/// The ids of all shipped policies.
fn shipped() -> Vec<&'static str> {
    let files = countersign_policy::DEFAULT_POLICIES.iter();
    let lines = files.flat_map(|(_, text)| text.lines());
    lines.filter_map(|line| line.strip_prefix("@id(\"")?.strip_suffix("\")")).collect()
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

/// What the rows of a table that begin with this word are about.
fn rows<'t>(table: &'t Value, word: &str) -> BTreeSet<&'t str> {
    let rows = table["rows"].as_array().unwrap().iter();
    rows.filter_map(|row| row["what"].as_str().unwrap().strip_prefix(word)?.strip_prefix(' ')).collect()
}

#[test]
fn what_each_role_may() {
    let ran = Everything::new().ask(&["policy", "matrix"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.out);
}

#[test]
fn no_role_is_missing() {
    let everything = Everything::new();
    let table = everything.table();
    let roles: toml::Table = countersign_policy::DEFAULT_POLICIES
        .iter()
        .find(|(name, _)| *name == "roles.toml")
        .unwrap()
        .1
        .parse()
        .unwrap();
    let declared = roles["roles"].as_table().unwrap().keys().map(String::as_str);
    assert_eq!(texts(&table["roles"]), declared.chain(["(no role)"]).collect());
}

#[test]
fn no_kind_of_tool_is_missing() {
    let table = Everything::new().table();
    let named: BTreeSet<&str> = KINDS.iter().flat_map(|(_, names)| *names).copied().collect();
    assert_eq!(rows(&table, "call"), named, "the table and the kinds of tools name different ones");
    let mut implemented = BTreeSet::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap() {
        let source = entry.unwrap().path();
        // Tools of conformance suites and of measurements are behind features that no release has.
        if !source.ends_with("mcp") {
            implementations(&source.join("src"), &mut implemented);
        }
    }
    let known: BTreeSet<String> = KINDS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(implemented, known, "the sources implement other tools than the table shows");
}

/// The types that implement `Tool` in the sources of a directory, but for those of tests.
fn implementations(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            implementations(&path, found);
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs", "proofs.rs"].contains(&name.as_str()) {
            let text = fs::read_to_string(&path).unwrap();
            // What follows in a file of its own tests is no tool of the product.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let heads = text.lines().filter_map(|line| line.strip_prefix("impl Tool for "));
            found.extend(heads.map(|head| head.trim_end_matches([' ', '{']).to_owned()));
        }
    }
}

#[test]
fn no_section_of_the_configuration_is_missing() {
    let ran = crate::shop::run(&["config", "schema"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    let known: BTreeSet<&str> =
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let config: toml::Table = CONFIG.parse().unwrap();
    // The catalog is a directory that is there without a section.
    let used = config.keys().map(String::as_str).chain(["catalog"]).chain(NO_TOOLS);
    assert_eq!(known, used.collect(), "a section may offer tools that the table does not show");
}

#[test]
fn no_action_on_a_kind_of_object_is_missing() {
    let everything = Everything::new();
    let ran = everything.run(&["policy", "check", "--schema", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let checked: Value = serde_json::from_str(&ran.out).unwrap();
    let schema = checked["schema"].as_str().unwrap();
    let mut known = BTreeSet::new();
    for declared in schema.split("\naction ").filter(|text| text.contains("in [Action::\"access\"]")) {
        let action = declared.split('"').nth(1).unwrap();
        let (_, kinds) = declared.split_once("resource: [").unwrap();
        for kind in kinds.split(']').next().unwrap().split(',') {
            known.insert(format!("{action} {}", kind.trim().to_lowercase()));
        }
    }
    assert!(known.len() > 9, "{schema}");
    let probed: BTreeSet<String> =
        PROBES.iter().map(|probe| probe.rsplit_once(' ').unwrap().0.to_owned()).collect();
    assert_eq!(known, probed);
}

#[test]
fn no_shipped_policy_can_be_removed_unnoticed() {
    let everything = Everything::new();
    let ids = shipped();
    assert!(ids.len() >= 20, "{ids:?}");
    for id in ids {
        let dir = everything.without(id);
        let ran = everything.ask(&["policy", "diff", "policies", dir.to_str().unwrap(), "--json"]);
        let diff: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{id}: {}", ran.err));
        assert_ne!(diff["matrix"], serde_json::json!([]), "the table does not show `{id}`");
    }
}
