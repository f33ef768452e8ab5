//! `ip("…")`: a single address, a range, or a network. Source: Loki, "Matching IP addresses".

use std::net::{IpAddr, Ipv4Addr};

/// The longest text an address can have, with room to spare: longer runs are not tried.
const ADDRESS_MAX: usize = 64;

/// Addresses from the first to the last, both included and of the same family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IpMatcher {
    first: IpAddr,
    last: IpAddr,
}

impl IpMatcher {
    /// Reads `192.0.2.0`, `192.168.0.1-192.189.10.12` or `2001:db8::/32`.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "invalid ip pattern {pattern:?}: expected an address, first-last or a network/bits"
            )
        };
        if let Some((first, last)) = pattern.split_once('-') {
            let first: IpAddr = first.trim().parse().map_err(|_| bad())?;
            let last: IpAddr = last.trim().parse().map_err(|_| bad())?;
            if first.is_ipv4() != last.is_ipv4() || first > last {
                return Err(bad());
            }
            return Ok(IpMatcher { first, last });
        }
        if let Some((address, bits)) = pattern.split_once('/') {
            let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
            let bits: u32 = bits.trim().parse().map_err(|_| bad())?;
            return network(address, bits).ok_or_else(bad);
        }
        let address: IpAddr = pattern.trim().parse().map_err(|_| bad())?;
        Ok(IpMatcher { first: address, last: address })
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether a label value is an address that matches; text around it is allowed.
    pub(crate) fn matches_value(&self, value: &str) -> bool {
        self.matches_line(value)
    }

    /// Whether any address in the line matches.
    pub(crate) fn matches_line(&self, line: &str) -> bool {
        let inside = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
        line.split(|c: char| !inside(c))
            .filter(|run| run.len() >= 2 && run.len() <= ADDRESS_MAX)
            .any(|run| self.matches_run(run))
    }

    fn matches_run(&self, run: &str) -> bool {
        if self.first.is_ipv4() {
            // `10.0.0.1:8080` and `a10.0.0.1` hold an address as well.
            return run
                .split(|c: char| !(c.is_ascii_digit() || c == '.'))
                .filter_map(|part| part.trim_matches('.').parse::<Ipv4Addr>().ok())
                .any(|address| self.contains(IpAddr::V4(address)));
        }
        let candidates = [run, run.trim_end_matches([':', '.'])];
        candidates.iter().filter_map(|c| c.parse::<IpAddr>().ok()).any(|a| self.contains(a))
    }
}

fn network(address: IpAddr, bits: u32) -> Option<IpMatcher> {
    match address {
        IpAddr::V4(v4) => {
            let mask = if bits == 0 { 0 } else { u32::MAX << 32u32.checked_sub(bits)? };
            let first = u32::from(v4) & mask;
            Some(IpMatcher {
                first: IpAddr::from(first.to_be_bytes()),
                last: IpAddr::from((first | !mask).to_be_bytes()),
            })
        }
        IpAddr::V6(v6) => {
            let mask = if bits == 0 { 0 } else { u128::MAX << 128u32.checked_sub(bits)? };
            let first = u128::from(v6) & mask;
            Some(IpMatcher {
                first: IpAddr::from(first.to_be_bytes()),
                last: IpAddr::from((first | !mask).to_be_bytes()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_lines() {
        let cases = [
            ("3.180.71.3", "3.180.71.3 - - [17/May/2015]", true),
            ("3.180.71.3", "93.180.71.3 - - x", false),
            ("192.168.4.5/16", "addr=192.168.77.1:8080 ok", true),
            ("192.168.4.5/16", "addr=192.169.0.1", false),
            ("192.168.4.5-192.168.4.20", "from 192.168.4.20.", true),
            ("192.168.4.5-192.168.4.20", "from 192.168.4.21", false),
            ("::1", "listening on [::1]:80", true),
            ("2001:db8::/32", "peer 2001:db8:1::8, up", true),
            ("2001:db8::1-2001:db8::8", "2001:db8::9", false),
            ("0.0.0.0/0", "10.0.0.1", true),
            ("10.0.0.1", "version 1.2.3", false),
        ];
        for (pattern, line, expected) in cases {
            let matcher = IpMatcher::new(pattern).expect(pattern);
            assert_eq!(matcher.matches_line(line), expected, "{pattern} in {line}");
        }
        for bad in ["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4-::1", "5.0.0.0-4.0.0.0", "::/129"] {
            assert!(IpMatcher::new(bad).is_err(), "{bad}");
        }
    }
}
