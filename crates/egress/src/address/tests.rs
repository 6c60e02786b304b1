//! The tables against the registries' list, range by range, at both ends and just outside.

use super::*;

fn class(text: &str) -> AddressClass {
    AddressClass::of(text.parse().unwrap())
}

#[test]
fn no_special_range_is_public() {
    let list = include_str!("../../../../corpora/ranges.json");
    let list: serde_json::Value = serde_json::from_str(list).unwrap();
    let ranges = list["ranges"].as_array().unwrap();
    assert!(ranges.len() > 35);
    for range in ranges {
        let cidr = range["cidr"].as_str().unwrap();
        let (first, length) = cidr.split_once('/').unwrap();
        let (first, length): (IpAddr, u32) = (first.parse().unwrap(), length.parse().unwrap());
        let last: IpAddr = match first {
            IpAddr::V4(v4) => {
                Ipv4Addr::from(u32::from(v4) | u32::MAX.checked_shr(length).unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                Ipv6Addr::from(u128::from(v6) | u128::MAX.checked_shr(length).unwrap_or(0)).into()
            }
        };
        for address in [first, last] {
            // The last mapped address is 255.255.255.255.
            assert!(!AddressPolicy::public_only().permits(AddressClass::of(address)), "{cidr}: {address}");
        }
    }
}

#[test]
fn ordinary_addresses_are_public() {
    for public in [
        "8.8.8.8",
        "1.1.1.1",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.17",
        "2606:4700::1111",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(class(public), AddressClass::Public, "{public}");
    }
}

/// Also in their IPv4-mapped form; other disguises are nobody's address.
#[test]
fn metadata_is_never_dialled() {
    for text in [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "2001:0:a9fe:a9fe::",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "2a00::5efe:a9fe:a9fe",
        "2a00::200:5efe:a9fe:a9fe",
    ] {
        for policy in [AddressPolicy::operator_named(), AddressPolicy::public_only()] {
            assert!(!policy.permits(class(text)), "{text}: {}", class(text));
        }
    }
}

#[test]
fn an_operator_may_name_private_hosts() {
    for text in [
        "127.0.0.1",
        "::1",
        "10.0.0.5",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "fd12::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(AddressPolicy::operator_named().permits(class(text)), "{text}");
        assert!(!AddressPolicy::public_only().permits(class(text)), "{text}");
    }
    for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"] {
        assert!(!AddressPolicy::operator_named().permits(class(text)), "{text}");
    }
}
