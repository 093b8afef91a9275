//! Where a master is: from the configuration, and from the `Location` of one that does not lead.

use std::fmt;

/// Host and port of a master.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name, or an IP address without brackets.
    host: String,
    port: u16,
}

/// The masters that may lead, each of which has its turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Masters {
    first: Address,
    others: Vec<Address>,
    /// 0 for the first.
    turn: usize,
}

/// Where masters are called.
const PATH: &str = "/api/v1/scheduler";

/// The port of a `Location` that names none, as of every `http` URL.
const HTTP_PORT: u16 = 80;

impl Address {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?)
    }

    /// Reads the `Location` of a redirect. Masters leave the scheme out (`//host:5050/api/v1/scheduler`), and in
    /// Mesos' documentation also the slashes. `None` for what names no host, and for `https`, which is not spoken
    /// here.
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

    /// A name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where to send calls.
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
            turn: 0,
        })
    }

    /// The one whose turn it is.
    pub fn take_turn(&mut self) -> Address {
        let taken = match self.turn.checked_sub(1) {
            None => &self.first,
            Some(index) => self.others.get(index).unwrap_or(&self.first),
        };
        self.turn = (self.turn + 1) % (self.others.len() + 1);
        taken.clone()
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
    fn every_form_of_a_location_leads_to_the_same_master() {
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
    fn every_master_has_its_turn() {
        let address = |text| Address::parse(text).expect("an address");
        let mut masters = Masters::new(vec![address("a:1"), address("b:1")]).expect("some");
        let turns = [(); 3].map(|()| masters.take_turn().to_string());
        assert_eq!(turns, ["a:1", "b:1", "a:1"]);
        assert_eq!(Masters::new(Vec::new()), None);
    }

    #[test]
    fn what_names_no_master_is_refused() {
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
