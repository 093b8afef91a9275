//! Addresses of masters, from the configuration and from the `Location` of a redirect.

use std::fmt;

/// The host and port of a master.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    host: String,
    port: u16,
}

/// The configured masters, tried one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Masters {
    first: Address,
    others: Vec<Address>,
    /// The index of the next one; 0 is `first`.
    next: usize,
}

/// The path of the scheduler API.
const PATH: &str = "/api/v1/scheduler";

/// The port of a `Location` without one, as for every `http` URL.
const HTTP_PORT: u16 = 80;

impl Address {
    /// Parses `host:port`, with brackets around an IPv6 address.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?)
    }

    /// Parses the `Location` of a redirect. Masters send it without the scheme (`//host:5050/api/v1/scheduler`); the
    /// documentation of Mesos also shows it without the slashes. `None` without a host, and for `https`, which is not
    /// supported.
    pub fn from_location(location: &str) -> Option<Self> {
        let location = location.trim();
        let rest = match location.split_once("//") {
            Some(("" | "http:", rest)) => rest,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http:") => rest,
            Some((before, _)) if before.ends_with(':') => return None,
            Some(_) | None => location,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit())
        });
        match has_port {
            true => Self::parse(authority),
            false => Self::new(authority, HTTP_PORT),
        }
    }

    fn new(host: &str, port: u16) -> Option<Self> {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_good = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let allowed =
                    |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
                !host.is_empty() && host.chars().all(allowed)
            }
        };
        (is_good && port > 0).then(|| Self {
            host: bare.unwrap_or(host).to_owned(),
            port,
        })
    }

    /// A name or an IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL for calls.
    pub fn url(&self) -> String {
        format!("http://{self}{PATH}")
    }
}

impl Masters {
    /// `None` if there is none.
    pub fn new(addresses: Vec<Address>) -> Option<Self> {
        let mut addresses = addresses.into_iter();
        Some(Self {
            first: addresses.next()?,
            others: addresses.collect(),
            next: 0,
        })
    }

    /// The next master; after the last one, the first again.
    pub fn next_master(&mut self) -> Address {
        let next = match self.next.checked_sub(1) {
            None => &self.first,
            Some(index) => self.others.get(index).unwrap_or(&self.first),
        };
        self.next = (self.next + 1) % (self.others.len() + 1);
        next.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_location_is_understood() {
        for location in [
            "//master2:5050/api/v1/scheduler",
            "master2:5050/api/v1/scheduler",
            "master2:5050",
            "http://master2:5050/api/v1/scheduler",
            "HTTP://master2:5050",
            " //master2:5050/ ",
        ] {
            let address = Address::from_location(location).expect(location);
            assert_eq!(
                address.url(),
                "http://master2:5050/api/v1/scheduler",
                "{location}"
            );
        }
        let address = Address::from_location("//[::1]:5050/x").expect("an address");
        assert_eq!(
            (address.host(), address.to_string().as_str()),
            ("::1", "[::1]:5050")
        );
        let address = Address::from_location("http://gate/master").expect("an address");
        assert_eq!(address.to_string(), "gate:80");
    }

    #[test]
    fn masters_are_tried_in_turn() {
        let address = |text| Address::parse(text).expect("an address");
        let mut masters = Masters::new(vec![address("a:1"), address("b:1")]).expect("some");
        let turns = [(); 3].map(|()| masters.next_master().to_string());
        assert_eq!(turns, ["a:1", "b:1", "a:1"]);
        assert_eq!(Masters::new(Vec::new()), None);
    }

    #[test]
    fn a_location_without_a_master_is_refused() {
        for location in [
            "",
            "/api/v1/scheduler",
            "https://master:5050/",
            "//",
            "//:5050/",
            "//user@master:5050/",
            "//master:0/",
            "//master:99999/",
            "//[::1/",
            "//mas ter:5050",
            "ftp://a:1/",
        ] {
            assert_eq!(Address::from_location(location), None, "{location}");
        }
        assert_eq!(Address::parse("master"), None);
    }
}
