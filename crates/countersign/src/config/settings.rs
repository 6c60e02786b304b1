//! Every setting and its default on one page. The reader, the JSON Schema, `config show` and error messages are all made from
//! this list, so a setting that is not here does not exist.

use super::{
    fetch,
    kind::Kind,
    scopes,
    url::Scheme::{self, Odbc, Postgres, Sqlite},
};

/// One setting.
pub(crate) struct Setting {
    /// Where it stands in the file: table and key, joined by dots. `*` is a name that the operator chooses.
    pub(crate) key: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// What it is when the file does not say.
    pub(crate) default: Default,
    /// What it is for, in a sentence.
    pub(crate) help: &'static str,
    /// The kinds of databases that it is for; empty for all, and for what is no setting of a database.
    pub(crate) engines: &'static [Scheme],
}

/// What a setting is when the file does not say.
#[derive(Clone, Copy)]
pub(crate) enum Default {
    /// This, written as in the file.
    Is(&'static str),
    /// It must be said wherever its table appears.
    Required,
    /// Nothing.
    Absent,
}

const fn setting(key: &'static str, kind: Kind, default: Default, help: &'static str) -> Setting {
    Setting { key, kind, default, help, engines: &[] }
}

/// A setting of some kinds of databases only.
const fn only(engines: &'static [Scheme], setting: Setting) -> Setting {
    Setting { engines, ..setting }
}

use self::Default::{Absent, Is, Required};

const KIND: Kind = Kind::OneOf(&["person", "service", "shared"]);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The page.
#[rustfmt::skip]
pub(crate) static SETTINGS: &[Setting] = &[
    setting("version", Kind::Version, Required, "The version of this file's format."),

    setting("server.listen", Kind::Listen, Is(r#""127.0.0.1:8931""#), "Address and port of the HTTP transport, or `unix:PATH`; beyond this machine only with `[server.tls]`."),
    setting("server.confine", Kind::Flag, Is("true"), "Keeps the server process to the files that this configuration names and those of the system, where the kernel can (Landlock)."),
    setting("server.allowed_hosts", Kind::Hosts, Is("[]"), "Names that may stand in a Host header, beside the loopback names."),
    setting("server.allowed_origins", Kind::Origins, Is("[]"), "Web origins whose pages may call, beside those of this machine."),
    setting("server.drain", Kind::Span { min_ms: 0, max_ms: 600_000 }, Is(r#""10s""#), "How long calls under way may finish when the server stops."),
    setting("server.max_message", Kind::Size { min: KIB, max: 64 * MIB }, Is(r#""1 MiB""#), "The longest request body or stdio line that is read."),
    setting("server.max_connections", Kind::Count { min: 1, max: 65_536 }, Is("512"), "Connections open at once."),
    setting("server.header_timeout", Kind::Span { min_ms: 100, max_ms: 60_000 }, Is(r#""5s""#), "How long a client may take to send its headers."),
    setting("server.body_timeout", Kind::Span { min_ms: 100, max_ms: 600_000 }, Is(r#""10s""#), "How long a client may take to send its body."),
    setting("server.max_sessions", Kind::Count { min: 1, max: 100_000 }, Is("256"), "Sessions of older protocol revisions, in all."),
    setting("server.max_sessions_per_principal", Kind::Count { min: 1, max: 10_000 }, Is("32"), "Sessions of one principal."),
    setting("server.session_idle", Kind::Span { min_ms: 1_000, max_ms: 86_400_000 }, Is(r#""30m""#), "An idle session ends after this time."),

    setting("server.tls.certificate", Kind::Path, Required, "A PEM file with the server's certificate and those that lead to its authority; SIGHUP reads it again."),
    setting("server.tls.key", Kind::Path, Required, "A PEM file with the private key, of mode 0600 or 0640."),
    setting("server.tls.clients", Kind::OneOf(&["off", "optional", "required"]), Is(r#""off""#), "Whether clients show a certificate of their own."),
    setting("server.tls.client_ca", Kind::Path, Absent, "A PEM file with the authority of clients' certificates."),
    setting("server.tls.client_crl", Kind::Path, Absent, "A PEM file with lists of clients' certificates that were revoked."),

    setting("state.dir", Kind::Path, Is(r#""state""#), "Where keys and counters are kept; private to the server's user."),
    setting("state.url", Kind::DatabaseUrl, Absent, "The PostgreSQL database that the instances of a fleet share, `postgres://user@host:port/database`; without it, a file in `state.dir`."),
    setting("state.password", Kind::Secret, Absent, "The password of the login in `state.url`."),
    setting("state.ca", Kind::Path, Absent, "A PEM file with the authority that signed that server's certificate; without it, the system's. Beyond this machine there is always TLS."),
    setting("state.pool", Kind::Count { min: 1, max: 64 }, Is("8"), "Connections of this instance to that database, beside one that listens for stops."),

    setting("identity.keys", Kind::Path, Is(r#""state/keys.json""#), "The API keys (hashes only); `countersign token key` edits it."),
    setting("identity.local.uid", Kind::Count { min: 0, max: u32::MAX as u64 }, Required, "The operating-system user id that may use stdio."),
    setting("identity.local.user", Kind::Name("subject"), Required, "Who that user is in policies and records."),
    setting("identity.local.tenant", Kind::Name("tenant"), Required, "The tenant of that user."),
    setting("identity.local.roles", Kind::Names("role"), Is("[]"), "The roles of that user."),
    setting("identity.local.claims.*", Kind::Claim, Absent, "What is known of that user besides: catalog parameters can be bound to it."),

    setting("identity.users.*.uid", Kind::Count { min: 0, max: u32::MAX as u64 }, Required, "The operating-system user id that may call over the unix socket; NAME is who that is."),
    setting("identity.users.*.tenant", Kind::Name("tenant"), Required, "The tenant of that user."),
    setting("identity.users.*.roles", Kind::Names("role"), Is("[]"), "The roles of that user."),
    setting("identity.certificates.*.matches", Kind::Certificate, Required, "The client certificate whose holder is NAME: `dns:HOST`, `uri:URI` or `sha256:HEX`."),
    setting("identity.certificates.*.kind", KIND, Is(r#""service""#), "What holds the certificate."),
    setting("identity.certificates.*.tenant", Kind::Name("tenant"), Required, "The tenant of that principal."),
    setting("identity.certificates.*.roles", Kind::Names("role"), Is("[]"), "The roles of that principal."),
    setting("identity.resource", Kind::Identifier, Absent, "The address by which clients call this server; their tokens must be for it. Needed with issuers."),
    setting("identity.issuers.*.url", Kind::Identifier, Required, "The authorization server, exactly as its tokens name it in `iss`."),
    setting("identity.issuers.*.jwks", Kind::Identifier, Absent, "Where its keys are; without it, its metadata says so."),
    setting("identity.issuers.*.ca", Kind::Path, Absent, "A PEM file with the authority that signed its web server's certificate; without it, the system's."),
    setting("identity.issuers.*.audience", Kind::Words("audience"), Is("[]"), "Audiences that stand for this server in its tokens; without any, `identity.resource`."),
    setting("identity.issuers.*.algorithms", Kind::Algorithms, Is(r#"["RS256", "PS256", "ES256", "EdDSA"]"#), "The algorithms that it signs with."),
    setting("identity.issuers.*.kind", KIND, Is(r#""person""#), "What its callers are."),
    setting("identity.issuers.*.services", Kind::Words("client"), Is("[]"), "Clients whose tokens for themselves make services."),
    setting("identity.issuers.*.tenant", Kind::Name("tenant"), Absent, "The tenant of all its callers; or else `tenant_claim`."),
    setting("identity.issuers.*.tenant_claim", Kind::ClaimPath, Absent, "The claim that names the tenant, among `tenants`."),
    setting("identity.issuers.*.tenants", Kind::Names("tenant"), Is("[]"), "The tenants that it may grant; others are dropped."),
    setting("identity.issuers.*.roles_claim", Kind::ClaimPath, Is(r#""roles""#), "The claim that lists the roles, or a pointer to it such as `/realm_access/roles`."),
    setting("identity.issuers.*.roles", Kind::Names("role"), Is("[]"), "The roles that it may grant; others are dropped."),
    setting("identity.issuers.*.role_names", Kind::Renames, Is("[]"), "What its names of roles mean here, as in `Bank Analysts=analyst`."),
    setting("identity.issuers.*.scopes", Kind::Words("scope"), Is("[]"), "Scopes that every token must carry."),
    setting("identity.issuers.*.scope_includes", Kind::Texts(&scopes::INCLUDES), Is("[]"), "Broad scopes and what they include, as in `tools:admin=tools:write`; a token with the one passes for one with both."),
    setting("identity.issuers.*.introspection", Kind::Identifier, Absent, "Where it says what tokens are that cannot be read here (RFC 7662); one issuer may have this."),
    setting("identity.issuers.*.introspection_client", Kind::Line(255), Absent, "This server's client id there."),
    setting("identity.issuers.*.introspection_secret", Kind::Secret, Absent, "The secret of that client."),
    setting("identity.issuers.*.introspection_cache", Kind::Span { min_ms: 1_000, max_ms: 300_000 }, Is(r#""30s""#), "How long an answer holds; a token that is revoked there works for as long here."),
    setting("identity.issuers.*.claims", Kind::ClaimPaths, Is("[]"), "Claims that are passed on to catalog queries and policies."),
    setting("identity.issuers.*.leeway", Kind::Span { min_ms: 0, max_ms: 300_000 }, Is(r#""30s""#), "How far its clock may be from ours."),
    setting("identity.issuers.*.lifetime", Kind::Span { min_ms: 60_000, max_ms: 86_400_000 }, Is(r#""1h""#), "The longest life of a token."),
    setting("identity.issuers.*.bound", Kind::Flag, Is("false"), "Takes only tokens that are bound to a key (DPoP) or a client certificate."),
    setting("identity.issuers.*.nonce", Kind::Flag, Is("false"), "Proofs of possession must carry this server's nonce."),
    setting("identity.credentials.file", Kind::Path, Is(r#""state/credentials.json""#), "Keeps the keys that sign this server's own short-lived credentials, and which are alive. The table, even if empty, turns them on."),
    setting("identity.credentials.max_ttl", Kind::Span { min_ms: 60_000, max_ms: 3_600_000 }, Is(r#""15m""#), "The longest life of one."),

    setting("identity.scopes.*.scope", Kind::Text(&scopes::SCOPE), Required, "A scope that access tokens need for the tools named here; without it a call gets 403 and a challenge that names it."),
    setting("identity.scopes.*.tools", Kind::Names("tool"), Is("[]"), "Tools that need it, by name."),
    setting("identity.scopes.*.permissions", Kind::Texts(&scopes::PERMISSIONS), Is("[]"), "Every tool with one of these permissions needs it."),

    setting("policy.dir", Kind::Path, Is(r#""policies""#), "The directory of Cedar policies (`*.cedar`, and `roles.toml`)."),
    setting("policy.observe", Kind::Path, Absent, "A directory of policies that are asked as well and decide nothing: where they differ is put on record."),

    setting("approval.elicitation", Kind::Flag, Is("false"), "Lets the caller's own person confirm write-low calls through the client, instead of an approver; a client could answer by itself."),

    setting("audit.dir", Kind::Path, Is(r#""audit""#), "The directory of the audit log."),
    setting("audit.reserve", Kind::Size { min: 0, max: 1024 * GIB }, Is(r#""64 MiB""#), "Calls are refused when less disk than this is free, so that outcomes can still be written."),
    setting("audit.rotate", Kind::Size { min: MIB, max: 1024 * GIB }, Is(r#""1 GiB""#), "A log is closed and a new one begun at this size."),

    setting("limits.principal.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("600"), "Calls a minute of one principal."),
    setting("limits.principal.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("100"), "Calls of one principal that may come at once."),
    setting("limits.tool.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("300"), "Calls a minute of one tool by one principal."),
    setting("limits.tool.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("60"), "Calls of one tool by one principal that may come at once."),
    setting("limits.tenant.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("6000"), "Calls a minute of all principals of one tenant."),
    setting("limits.tenant.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("500"), "Calls of one tenant that may come at once."),
    setting("limits.run.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("600"), "Calls a minute of one run: a session, a stdio process."),
    setting("limits.run.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("100"), "Calls of one run that may come at once."),
    setting("limits.repeat.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("60"), "Calls a minute of one tool with the same arguments in one run; more is a loop."),
    setting("limits.repeat.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("60"), "The same call so often at once."),
    setting("limits.run_calls", Kind::Count { min: 1, max: 4_000_000_000 }, Is("10000"), "Calls that one run may make in all; a run that was idle for four hours is over."),
    setting("limits.rows_per_hour", Kind::Count { min: 1, max: 1_000_000_000_000 }, Is("1000000"), "Rows that one principal may be given in an hour."),
    setting("limits.bytes_per_hour", Kind::Size { min: KIB, max: 1024 * GIB }, Is(r#""1 GiB""#), "Bytes of results that one principal may be given in an hour."),
    setting("limits.breaker.failures", Kind::Count { min: 1, max: 1_000_000 }, Is("10"), "A tool that fails so often in a row for a tenant rests."),
    setting("limits.breaker.rest", Kind::Span { min_ms: 100, max_ms: 3_600_000 }, Is(r#""5s""#), "How long it rests; then one call tries it out."),
    setting("limits.server.per_minute", Kind::Count { min: 1, max: 60_000_000 }, Is("60000"), "Calls a minute in all."),
    setting("limits.server.burst", Kind::Count { min: 1, max: 1_000_000 }, Is("2000"), "Calls in all that may come at once."),
    setting("limits.unauthenticated.per_minute", Kind::Count { min: 1, max: 1_000_000 }, Is("60"), "Failed logins a minute from one address."),
    setting("limits.unauthenticated.burst", Kind::Count { min: 1, max: 100_000 }, Is("20"), "Failed logins from one address that may come at once."),
    setting("limits.concurrent_principal", Kind::Count { min: 1, max: 10_000 }, Is("16"), "Calls of one principal under way at once."),
    setting("limits.concurrent_server", Kind::Count { min: 1, max: 100_000 }, Is("64"), "Calls under way at once in all."),
    setting("limits.max_result", Kind::Size { min: KIB, max: 64 * MIB }, Is(r#""1 MiB""#), "Results are cut at this size, and say so."),

    setting("redact.secrets.*", Kind::Secret, Absent, "A secret that must never leave: it is removed from results, errors and logs."),

    setting("databases.*.url", Kind::DatabaseUrl, Required, "Where the database is: `sqlite:FILE`, `postgres://user@host:port/database` or `odbc:CONNECTION-STRING`."),
    setting("databases.*.tenant", Kind::Name("tenant"), Absent, "The only tenant that may use it; without it, policy alone decides."),
    setting("databases.*.raw", Kind::Flag, Is("true"), "Offers `query_NAME`, which takes SQL; without it, only catalog queries run."),
    setting("databases.*.allow_writes", Kind::Switch, Is("false"), "Offers the write tool; each write still needs a policy and, by default, an approval."),
    setting("databases.*.allow_unfiltered_writes", Kind::Flag, Is("false"), "Lets UPDATE and DELETE do without a WHERE: one statement may then change every row of a table."),
    setting("databases.*.rows", Kind::Count { min: 1, max: 1_000_000 }, Is("1000"), "Results are cut at so many rows, and say so."),
    setting("databases.*.timeout", Kind::Span { min_ms: 10, max_ms: 600_000 }, Is(r#""10s""#), "How long a query may run."),
    only(&[Sqlite, Odbc], setting("databases.*.workers", Kind::Count { min: 1, max: 64 }, Is("4"), "Worker processes: queries that run at once.")),
    only(&[Postgres], setting("databases.*.pool", Kind::Count { min: 1, max: 200 }, Is("8"), "Connections of each login: queries that run at once.")),
    only(&[Postgres], setting("databases.*.schemas", Kind::Schemas, Is(r#"["public"]"#), "The schemas whose tables may be named; names without one are looked up in this order.")),
    only(&[Postgres, Odbc], setting("databases.*.functions", Kind::Functions, Is("[]"), "Functions of your own that queries may call; in PostgreSQL as `schema.name`.")),
    only(&[Postgres], setting("databases.*.settings", Kind::ServerSettings, Is("[]"), "Settings of your own applications, as `app.name`, that queries may read; what they hold is shown to every caller who may call `current_setting`.")),
    only(&[Odbc], setting("databases.*.dialect", Kind::OneOf(&["ansi", "postgres", "mssql", "mysql", "oracle", "sqlite"]), Is(r#""ansi""#), "The SQL that the source speaks; `ansi` for CONNX, Db2, Adabas and all that is not listed.")),
    only(&[Postgres], setting("databases.*.max_cost", Kind::Count { min: 1, max: 1_000_000_000_000 }, Is("1000000"), "The planner's estimate above which a query is refused, in its units of cost.")),
    only(&[Postgres], setting("databases.*.tls", Kind::OneOf(&["auto", "verify", "off"]), Is(r#""auto""#), "Whether TLS with a verified certificate is demanded; `auto`: yes, but for this machine.")),
    only(&[Postgres], setting("databases.*.ca", Kind::Path, Absent, "A PEM file with the authority that signed the server's certificate; without it, the system's.")),
    only(&[Postgres, Odbc], setting("databases.*.password", Kind::Secret, Absent, "The password of the login in the url.")),
    only(&[Postgres], setting("databases.*.write_user", Kind::Login, Absent, "The login for writes, so that the one in the url needs no right to write; without it, that one writes.")),
    only(&[Postgres], setting("databases.*.write_password", Kind::Secret, Absent, "The password of the login for writes.")),
    only(&[Postgres], setting("databases.*.tenants.*.user", Kind::Login, Required, "The login of this tenant; callers of tenants that are not listed are refused.")),
    only(&[Postgres], setting("databases.*.tenants.*.password", Kind::Secret, Absent, "The password of that login.")),
    only(&[Postgres], setting("databases.*.tenants.*.write_user", Kind::Login, Absent, "The login for this tenant's writes; without it, `user` writes.")),
    only(&[Postgres], setting("databases.*.tenants.*.write_password", Kind::Secret, Absent, "The password of the tenant's login for writes.")),

    setting("files.*.root", Kind::Path, Required, "A directory whose files callers may reach; nothing outside it."),
    setting("files.*.tenant", Kind::Name("tenant"), Absent, "The only tenant that may reach it; without it, policy alone decides."),
    setting("files.*.write", Kind::Flag, Is("false"), "Offers tools that change files; each change still needs a policy and, by default, an approval."),
    setting("files.*.scratch", Kind::Flag, Is("false"), "Says that it holds nothing but what may be lost: writing to it is a write of little power."),
    setting("files.*.deny", Kind::Globs, Is("[]"), "Patterns of paths that are never touched, such as `*.pem` or `private/**`, in upper or lower case."),
    setting("files.*.max_read", Kind::Size { min: KIB, max: 64 * MIB }, Is(r#""1 MiB""#), "The most of a file that one call returns; never more than `limits.max_result`."),
    setting("files.*.max_file", Kind::Size { min: KIB, max: 256 * MIB }, Is(r#""8 MiB""#), "The largest file that is searched, edited or written."),
    setting("files.*.quota", Kind::Size { min: 4 * KIB, max: 1024 * GIB }, Absent, "What the root may hold in all, every file and directory in whole blocks of 4 KiB: the tools that change files add no more to it. Without it, what the disk holds."),
    setting("files.*.max_entries", Kind::Count { min: 1, max: 10_000 }, Is("1000"), "The most entries of a directory that one call lists."),
    setting("files.*.max_search", Kind::Count { min: 1, max: 100_000 }, Is("5000"), "The most files that one search looks at."),

    setting("catalog.dir", Kind::Path, Is(r#""catalog""#), "The directory of the query catalog (`*.toml`)."),

    setting("sandbox.engine", Kind::OneOf(&["jail", "container"]), Is(r#""jail""#), "What contains Python and commands: the built-in jail, or containers of Docker or Podman."),
    setting("sandbox.socket", Kind::Path, Absent, "The Unix socket of the container engine on this machine; whoever can reach it rules the machine."),
    setting("sandbox.image", Kind::Line(300), Absent, "The image that brings the programs: a name that the container engine has, or an id. Never pulled."),
    setting("sandbox.runtime", Kind::Line(64), Absent, "The runtime that the container engine is asked for, such as `runsc`; without it, its own."),

    setting("python.interpreter", Kind::Path, Absent, "The Python that runs code of callers, the program itself and no version manager's script; without it, the system's, or the image's."),
    setting("python.imports", Kind::Lines(64), Is("[]"), "Modules that code may import beside those of the built-in list, such as \"numpy\"; never asyncio."),
    setting("python.packages", Kind::Path, Absent, "A directory of packages beside those of the interpreter."),
    setting("python.code", Kind::Size { min: KIB, max: 96 * KIB }, Is(r#""64 KiB""#), "The longest code."),
    setting("python.timeout", Kind::Span { min_ms: 1_000, max_ms: 600_000 }, Is(r#""30s""#), "How long code may run; a call may ask for less."),
    setting("python.memory", Kind::Size { min: 32 * MIB, max: 64 * GIB }, Is(r#""256 MiB""#), "Memory of one run; a call may ask for less."),
    setting("python.cpu_percent", Kind::Count { min: 5, max: 6400 }, Is("50"), "Share of one processor that a run gets, in hundredths."),
    setting("python.file_size", Kind::Size { min: KIB, max: GIB }, Is(r#""10 MiB""#), "The largest file that code may write."),
    setting("python.files", Kind::Size { min: KIB, max: 64 * MIB }, Is(r#""1 MiB""#), "All input files of a call together, and all files that come back."),
    setting("python.output", Kind::Size { min: KIB, max: 4 * MIB }, Is(r#""64 KiB""#), "How much is kept of standard output and of standard error: the start and the end."),
    setting("python.at_once", Kind::Count { min: 1, max: 64 }, Is("4"), "Runs at the same time."),

    setting("commands.*.program", Kind::Path, Required, "The program, by its absolute path. It is pinned when the server starts."),
    setting("commands.*.description", Kind::Line(500), Required, "What the command does, for the model."),
    setting("commands.*.argv", Kind::Lines(1000), Is("[]"), "Its arguments: fixed words, and `{NAME}` where the values of a slot go."),
    setting("commands.*.root", Kind::Name("root"), Absent, "The `[files.NAME]` that it sees and starts in; without it, it sees no files of yours."),
    setting("commands.*.write", Kind::Flag, Is("false"), "Lets it change what lies in its root; it is then a tool of its own, and each call needs approval."),
    setting("commands.*.expose", Kind::Flag, Is("false"), "Offers it as a tool of its own, `run_NAME`, with its slots as typed arguments, also if it only reads."),
    setting("commands.*.read", Kind::Lines(1000), Is("[]"), "Further files and directories that it may read and start programs from, by absolute paths."),
    setting("commands.*.env.*", Kind::Line(1000), Absent, "A variable of its environment. Nothing else is in it but PATH, LANG, LC_ALL and the sandbox's HOME, TMPDIR and PWD."),
    setting("commands.*.timeout", Kind::Span { min_ms: 100, max_ms: 3_600_000 }, Is(r#""30s""#), "How long it may run."),
    setting("commands.*.memory", Kind::Size { min: MIB, max: 64 * GIB }, Is(r#""512 MiB""#), "Its memory, with all that it starts."),
    setting("commands.*.cpu_percent", Kind::Count { min: 5, max: 6400 }, Is("100"), "Share of one processor that it gets, in hundredths."),
    setting("commands.*.processes", Kind::Count { min: 1, max: 1024 }, Is("32"), "Processes and threads that it may have."),
    setting("commands.*.file_size", Kind::Size { min: KIB, max: 4 * GIB }, Is(r#""10 MiB""#), "The largest file that it may write."),
    setting("commands.*.output", Kind::Size { min: KIB, max: 4 * MIB }, Is(r#""64 KiB""#), "How much is kept of standard output and of standard error: the start and the end."),
    setting("commands.*.slots.*.kind", Kind::OneOf(&["choice", "integer", "path", "pattern"]), Required, "What callers may put there."),
    setting("commands.*.slots.*.option", Kind::Line(64), Absent, "The option that stands before each value, such as `--maxfail`."),
    setting("commands.*.slots.*.values", Kind::Lines(200), Absent, "The words of a `choice`, options such as `-q` among them."),
    setting("commands.*.slots.*.min", Kind::Count { min: 0, max: 1 << 53 }, Absent, "The least `integer`; 0 if not said."),
    setting("commands.*.slots.*.max", Kind::Count { min: 0, max: 1 << 53 }, Absent, "The greatest `integer`."),
    setting("commands.*.slots.*.pattern", Kind::Line(500), Absent, "The regular expression that the whole text of a `pattern` matches."),
    setting("commands.*.slots.*.max_length", Kind::Count { min: 1, max: 4096 }, Is("200"), "Characters of the longest text of a `pattern`."),
    setting("commands.*.slots.*.most", Kind::Count { min: 1, max: 64 }, Is("1"), "How many values it takes."),
    setting("commands.*.slots.*.required", Kind::Flag, Is("false"), "Whether it takes at least one."),
    setting("commands.*.slots.*.description", Kind::Line(300), Is(r#""""#), "What it is for, for the model."),

    setting("fetch.allow", Kind::Texts(&fetch::HOSTS), Is("[]"), "The hosts that `fetch_url` may reach; without any there is no such tool."),
    setting("fetch.trusted", Kind::Texts(&fetch::HOSTS), Is("[]"), "Hosts among these that are trusted with what callers have read: policies see it as `resource.trusted`. No default policy permits more to them."),
    setting("fetch.types", Kind::Texts(&fetch::TYPES), Is(r#"["text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "application/yaml", "application/toml", "application/javascript"]"#), "The content types that are read."),
    setting("fetch.max_body", Kind::Size { min: KIB, max: 64 * MIB }, Is(r#""5 MiB""#), "Longer answers are refused."),
    setting("fetch.max_chars", Kind::Count { min: 100, max: 1_000_000 }, Is("50000"), "Characters of one result; the rest comes by `offset`."),
    setting("fetch.timeout", Kind::Span { min_ms: 1_000, max_ms: 300_000 }, Is(r#""30s""#), "How long a request may take in all, redirects included."),
    setting("fetch.ca", Kind::Path, Absent, "A PEM file with the authorities that servers are verified with; without it, the system's."),
    setting("fetch.proxy", Kind::Text(&fetch::PROXY), Absent, "The proxy that requests leave through, by CONNECT. The environment is not asked for one."),
    setting("fetch.proxy_user", Kind::Text(&fetch::PROXY_USER), Absent, "The user name that this server has at the proxy."),
    setting("fetch.proxy_password", Kind::Secret, Absent, "The password of that user."),
    setting("fetch.nat64", Kind::Texts(&fetch::TRANSLATORS), Is("[]"), "Prefixes under which a translator reaches IPv4; addresses below them are judged as the IPv4 address."),

    setting("fetch.send.allow", Kind::Texts(&fetch::HOSTS), Is("[]"), "The hosts that `send_request` may send to what changes something there; without any there is no such tool."),
    setting("fetch.send.methods", Kind::Texts(&fetch::METHODS), Is(r#"["POST"]"#), "The methods that it sends: `POST`, `PUT`, `PATCH`, `DELETE`."),
    setting("fetch.send.types", Kind::Texts(&fetch::BODIES), Is(r#"["application/json", "application/x-www-form-urlencoded", "text/plain"]"#), "The content types of what it sends."),
    setting("fetch.send.max_body", Kind::Size { min: 16, max: MIB }, Is(r#""64 KiB""#), "The longest body that it sends."),
    setting("fetch.send.power", Kind::OneOf(&["write-low", "write-high"]), Is(r#""write-high""#), "How much harm a request can do there: `write-high` takes the approval of two people, since nothing can be tried out, `write-low` that of one."),

    setting("danger.anonymous", Kind::Flag, Is("false"), "Lets anyone on this machine call without a key."),
    setting("danger.anonymous_tenant", Kind::Name("tenant"), Is(r#""anonymous""#), "The tenant of anonymous callers."),
    setting("danger.anonymous_roles", Kind::Names("role"), Is("[]"), "The roles of anonymous callers."),
    setting("danger.untyped_tokens", Kind::Names("issuer"), Is("[]"), "Issuers whose tokens need not say that they are access tokens (`typ: at+jwt`)."),
    setting("danger.audit_off", Kind::Flag, Is("false"), "Keeps no record of calls; for measurements."),
    setting("danger.plaintext_databases", Kind::Flag, Is("false"), "Lets `tls = \"off\"` hold for databases beyond this machine: passwords and rows can be read on the way."),
    setting("danger.fetch_networks", Kind::Texts(&fetch::NETWORKS), Is("[]"), "Private networks that `fetch_url` may reach. This machine, link-local and metadata addresses take an entry of that one address."),
    setting("danger.fetch_names", Kind::Texts(&fetch::HOSTS), Is("[]"), "Names of private networks that `fetch_url` may reach. Those of platforms (Kubernetes, metadata) must stand in full."),
    setting("danger.fetch_proxy_resolves", Kind::Flag, Is("false"), "Leaves names to `fetch.proxy`, which then alone decides what address a name leads to."),
    setting("danger.fixtures", Kind::Flag, Is("false"), "Adds the tools of conformance tests, in builds that have them."),
];
