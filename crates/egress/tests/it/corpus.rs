//! The corpus of URLs, with its names and redirects, against servers at every address of the world. Each case is fetched twice: by a naive
//! client, which shows that the danger is real, and by ours.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_egress::{
    AddressClass, Roots, Tls,
    http::{Client, FetchError, Limits, Policy, Target},
};
use countersign_testbed::internet::{Names, inside};
use serde_json::Value;

use crate::{
    naive,
    site::{Seen, Site, acceptor, ok, redirect},
};

struct Case(Value);

impl Case {
    fn all() -> Vec<Case> {
        let lines = include_str!("../../../../corpora/ssrf.jsonl").lines();
        lines.map(|line| Case(serde_json::from_str(line).unwrap())).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn allowed(&self) -> bool {
        self.text("expect") == "allow"
    }

    /// Names and what they answer, one question after the other.
    fn names(&self) -> Vec<(String, Vec<Vec<IpAddr>>)> {
        let list = |value: &Value| -> Vec<IpAddr> {
            value.as_array().unwrap().iter().map(|a| a.as_str().unwrap().parse().unwrap()).collect()
        };
        let once = self.0["dns"].as_object().into_iter().flatten().map(|(n, a)| (n.clone(), vec![list(a)]));
        let sequence = self.0["dns_sequence"].as_object().into_iter().flatten();
        let sequence =
            sequence.map(|(n, steps)| (n.clone(), steps.as_array().unwrap().iter().map(list).collect()));
        once.chain(sequence).collect()
    }

    /// Everything that a certificate must name for every server of the case to prove itself.
    fn certified(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.names().into_iter().map(|(name, _)| name).collect();
        let target = Target::parse(self.text("url")).into_iter();
        hosts.extend(target.map(|target| target.host().to_owned()));
        let san = |host: String| match host.parse::<IpAddr>() {
            Ok(address) => format!("IP:{address}"),
            Err(_) => format!("DNS:{host}"),
        };
        hosts.into_iter().map(san).collect()
    }
}

/// Servers at every address, on the ports that the corpus knows.
struct World {
    sites: Vec<Site>,
    location: Arc<Mutex<String>>,
}

impl World {
    fn start(dir: &std::path::Path) -> World {
        let location: Arc<Mutex<String>> = Arc::default();
        let mut sites = Vec::new();
        for port in [80, 443, 2375, 6379, 8443] {
            let tls = matches!(port, 443 | 8443).then(|| acceptor(dir));
            let location = Arc::clone(&location);
            let script = move |head: &str| match location.lock().unwrap().as_str() {
                to if !to.is_empty() && head.starts_with("GET /r ") => redirect(to),
                _ => ok("reached"),
            };
            sites.push(Site::listen(&format!("[::]:{port}"), tls, Arc::new(script)));
        }
        World { sites, location }
    }

    fn seen(&self) -> Vec<Seen> {
        self.sites.iter().flat_map(Site::seen).collect()
    }
}

fn is_public(seen: &Seen) -> bool {
    AddressClass::of(seen.to.ip()) == AddressClass::Public
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_ends_as_it_must() {
    if !tokio::task::block_in_place(|| inside("corpus::every_case_ends_as_it_must")) {
        return;
    }
    let cases = Case::all();
    assert!(cases.len() > 140);
    let dir = tempfile::tempdir().unwrap();
    let certified: BTreeSet<String> = cases.iter().flat_map(Case::certified).collect();
    countersign_testbed::certificate(dir.path(), &certified.into_iter().collect::<Vec<_>>());
    let roots = Roots::File(dir.path().join("ca.pem"));
    let (client, tls) = (Client::new(&roots).unwrap(), Tls::new(&roots).unwrap());
    let (world, names) = (World::start(dir.path()), Names::serve());
    let limits = Limits { connect: Duration::from_secs(2), ..Limits::default() };
    let policy = Policy::any_public().with_limits(limits);
    let (mut wrong, mut shown) = (Vec::new(), 0);
    for case in &cases {
        *world.location.lock().unwrap() = case.text("redirect").to_owned();
        // A name that the case does not script exists, and leads outside: what refuses it is its name.
        let script = |others: &str| {
            names.reset(vec![others.parse().unwrap()]);
            case.names().into_iter().for_each(|(name, answers)| names.set(&name, answers));
        };
        script("10.0.0.1");
        if !case.allowed() {
            let naive = tokio::time::timeout(Duration::from_secs(2), naive::get(&tls, case.text("url")));
            let reached = naive.await.is_ok_and(|answer| answer.is_some_and(|a| a.ends_with("reached")));
            shown += u32::from(reached);
        }
        world.seen();
        script("93.184.215.14");
        let fetched = client.get(case.text("url"), &policy).await;
        let seen = world.seen();
        let rebinding = case.0.get("expect_connect").is_some();
        let as_expected = match &fetched {
            Ok(answer) => {
                (case.allowed() || rebinding) && answer.status == 200 && &answer.body[..] == b"reached"
            }
            Err(_) => !case.allowed(),
        };
        let first_hop = usize::from(!case.text("redirect").is_empty() || rebinding);
        let reached_nothing =
            case.allowed() || case.text("why").contains("hop cap") || seen.len() <= first_hop;
        let expected = case.0["expect_connect"].as_str().map(|a| a.parse::<IpAddr>().unwrap());
        let pinned = expected.is_none_or(|address| seen.iter().all(|one| one.to.ip() == address));
        if !as_expected || !reached_nothing || !pinned || !seen.iter().all(is_public) {
            wrong.push(format!("{}: {:?} {seen:?}", case.0, fetched.map(|a| a.status)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The others are no URL even to a naive client, or need what this network has not: multicast, other protocols.
    println!("{shown} attacks work on a naive client");
    assert!(shown >= 60, "{shown}");
}

/// Every address that the ranges name is answered here, and none is reached.
#[tokio::test(flavor = "multi_thread")]
async fn no_special_range_is_dialled() {
    if !tokio::task::block_in_place(|| inside("corpus::no_special_range_is_dialled")) {
        return;
    }
    let site = Site::listen("[::]:80", None, Arc::new(|_: &str| ok("reached")));
    let names = Names::serve();
    names.reset(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:unused"]);
    let client = Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap();
    let ranges: Value = serde_json::from_str(include_str!("../../../../corpora/ranges.json")).unwrap();
    let (mut tried, mut open) = (0, 0);
    for range in ranges["ranges"].as_array().unwrap() {
        let (first, length) = range["cidr"].as_str().unwrap().split_once('/').unwrap();
        let first: IpAddr = first.parse().unwrap();
        let inner = match first {
            single if matches!((single, length), (IpAddr::V4(_), "32") | (IpAddr::V6(_), "128")) => single,
            IpAddr::V4(v4) => IpAddr::from((u32::from(v4) | 1).to_be_bytes()),
            IpAddr::V6(v6) => IpAddr::from((u128::from(v6) | 1).to_be_bytes()),
        };
        names.set("case.example.net", vec![vec![inner]]);
        if tokio::net::TcpStream::connect((inner, 80)).await.is_ok() {
            open += 1;
            while site.seen().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let literal = countersign_egress::http::HostPattern::exact(&inner.to_string(), 80);
        for url in [format!("http://{literal}/"), "http://case.example.net/".to_owned()] {
            let refused = client.get(&url, &Policy::any_public()).await;
            assert!(matches!(refused, Err(FetchError::Address { .. })), "{range} {inner}: {refused:?}");
            tried += 1;
        }
        assert!(site.seen().is_empty(), "{range}");
    }
    println!("{open} of {} ranges answer in this network", tried / 2);
    assert!(open >= 28 && tried >= 70, "{open} {tried}");
}
