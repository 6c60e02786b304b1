//! What a network contains, and what is none.

use super::*;

#[test]
fn a_network_contains_its_addresses_and_no_other() {
    for (network, inside, outside) in [
        (
            "10.1.0.0/16",
            &["10.1.0.0", "10.1.255.255", "::ffff:10.1.0.1"][..],
            &["10.0.255.255", "10.2.0.0", "::10.1.0.1"][..],
        ),
        ("0.0.0.0/0", &["255.255.255.255", "0.0.0.0"], &["::1"]),
        ("::/0", &["::", "ffff::"], &["1.2.3.4", "::ffff:1.2.3.4"]),
        ("169.254.169.254", &["169.254.169.254"], &["169.254.169.253"]),
        ("fd00:1::/32", &["fd00:1:ffff::"], &["fd00:2::"]),
    ] {
        let network: Network = network.parse().unwrap();
        assert!(inside.iter().all(|a| network.contains(a.parse().unwrap())), "{network}");
        assert!(!outside.iter().any(|a| network.contains(a.parse().unwrap())), "{network}");
    }
}

#[test]
fn what_is_no_network_is_refused() {
    for text in [
        "",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "fd00::/129",
        "10.0.0/8",
        "::ffff:10.0.0.0/104",
        "host",
        "fd00::1/64",
    ] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
    assert_eq!("10.0.0.7".parse::<Network>().unwrap().to_string(), "10.0.0.7");
    assert!("10.0.0.7/32".parse::<Network>().unwrap().is_single());
}

#[test]
fn a_translated_address_is_its_ipv4_address() {
    let prefix: Nat64 = "64:ff9b::/96".parse().unwrap();
    assert_eq!(prefix.inner("64:ff9b::7f00:1".parse().unwrap()), Some(Ipv4Addr::LOCALHOST));
    assert_eq!(prefix.inner("64:ff9b:1::7f00:1".parse().unwrap()), None);
    assert!("64:ff9b::/64".parse::<Nat64>().is_err());
}
