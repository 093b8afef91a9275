//! What keeps web pages out: a page that someone has open can make requests to this machine with their
//! rights, and a POST of text/plain needs no leave of ours first.
//!
//! Every request, reads included, must name us as `Host`: a foreign name that was made to point here (DNS
//! rebinding) would make the foreign page our own in the browser's eyes. A browser says in `Origin` and
//! `Sec-Fetch-Site` which page asks.

use std::net::{IpAddr, SocketAddr};

/// The names that the API answers to, besides `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Where it listens.
    pub listen: IpAddr,
    /// `:hostname`, in lower case.
    pub hostname: Option<String>,
}

/// The fields of a request that matter here, each `None` if it was not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `Host`
    pub host: Option<&'a str>,
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'a str>,
}

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// 421: it was meant for another host.
    Host(String),
    /// 403: a page of another origin has made it.
    Page(String),
}

/// Checks a request. `local` is our own address on its connection: behind 0.0.0.0 stands one of the
/// machine's addresses. Returns the checked authority, to which we may point clients.
///
/// # Errors
///
/// Says which field is wrong, and what would be right.
pub fn check<'a>(
    names: &Names,
    local: Option<SocketAddr>,
    fields: Fields<'a>,
) -> Result<&'a str, Foreign> {
    let authority = fields.host.unwrap_or_default().trim();
    if !is_ours(names, local, authority) {
        let shown = crate::codec::query::shortened(authority);
        let hostname = names.hostname.as_deref();
        let also = hostname.map_or_else(String::new, |name| format!(" or {name}"));
        return Err(Foreign::Host(format!(
            "Host is {shown:?}, but this is localhost or {}{also}; other names must be set as :hostname in the configuration",
            names.listen
        )));
    }
    if let Some(origin) = fields.origin
        && !is_same(origin.trim(), authority)
    {
        let shown = crate::codec::query::shortened(origin);
        return Err(Foreign::Page(format!(
            "requests of pages from {shown:?} are not served: Origin must be http://{authority}"
        )));
    }
    match fields.fetch_site.map(str::trim) {
        None | Some("same-origin" | "none") => Ok(authority),
        Some(site) => {
            let shown = crate::codec::query::shortened(site);
            Err(Foreign::Page(format!(
                "requests of other pages are not served: Sec-Fetch-Site is {shown:?} and must be same-origin or none"
            )))
        }
    }
}

/// Whether an authority names us. Its port may be another one: that of a forwarded port.
fn is_ours(names: &Names, local: Option<SocketAddr>, authority: &str) -> bool {
    let Some(host) = host(authority) else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    if host == "localhost" || names.hostname.as_deref() == Some(host.as_str()) {
        return true;
    }
    let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return false;
    };
    match names.listen.is_unspecified() {
        false => address == names.listen,
        true => local.is_some_and(|local| address == local.ip().to_canonical()),
    }
}

/// The host of `host`, `host:port`, `[address]` or `[address]:port`.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.ends_with(']'),
        None => !host.is_empty() && !host.contains([':', '@', '/']),
    };
    (is_port && is_host).then_some(host)
}

/// Whether an origin is the page of this authority itself.
fn is_same(origin: &str, authority: &str) -> bool {
    let Some((scheme @ ("http" | "https"), origin)) = origin.split_once("://") else {
        // Also `null`, which sandboxed frames and files have.
        return false;
    };
    let port = if scheme == "http" { ":80" } else { ":443" };
    let plain = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    plain(origin) == plain(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            listen: [127, 0, 0, 1].into(),
            hostname: Some("jobs.example.org".to_owned()),
        }
    }

    fn checked<'a>(
        host: &'a str,
        origin: Option<&'a str>,
        fetch_site: Option<&'a str>,
    ) -> Result<&'a str, Foreign> {
        let local = Some(SocketAddr::from(([127, 0, 0, 1], 12321)));
        let fields = Fields {
            host: Some(host),
            origin,
            fetch_site,
        };
        check(&names(), local, fields)
    }

    #[test]
    fn our_own_names_are_served_with_any_port() {
        for host in [
            "127.0.0.1:12321",
            "127.0.0.1",
            "localhost:8080",
            "LOCALHOST",
            "jobs.example.org:443",
        ] {
            assert_eq!(checked(host, None, None), Ok(host));
        }
    }

    #[test]
    fn another_host_is_misdirected() {
        for host in [
            "",
            "evil.example.org:12321",
            "127.0.0.2",
            "localhost.evil.example.org",
            "evil.localhost",
            "localhost:0",
            "localhost:x",
            "localhost:",
            "a@localhost",
            "127.1",
            "[::1]:12321",
            "0.0.0.0",
        ] {
            assert!(
                matches!(checked(host, None, None), Err(Foreign::Host(_))),
                "{host}"
            );
        }
        let no_host = check(&names(), None, Fields::default());
        assert!(matches!(no_host, Err(Foreign::Host(_))));
    }

    #[test]
    fn behind_a_wildcard_stands_the_address_of_the_connection() {
        let names = Names {
            listen: [0, 0, 0, 0].into(),
            hostname: None,
        };
        let local = Some(SocketAddr::from(([192, 0, 2, 1], 12321)));
        let host = |host| Fields {
            host: Some(host),
            ..Fields::default()
        };
        assert!(check(&names, local, host("192.0.2.1:12321")).is_ok());
        assert!(check(&names, local, host("192.0.2.2:12321")).is_err());
        assert!(check(&names, local, host("0.0.0.0:12321")).is_err());
        assert!(check(&names, None, host("192.0.2.1:12321")).is_err());
    }

    #[test]
    fn only_pages_of_our_own_may_ask() {
        let host = "localhost:12321";
        assert!(checked(host, Some("http://localhost:12321"), Some("same-origin")).is_ok());
        assert!(checked("localhost", Some("http://localhost:80"), None).is_ok());
        assert!(checked(host, None, Some("none")).is_ok());
        for origin in [
            "null",
            "",
            "http://evil.example.org",
            "http://localhost",
            "http://127.0.0.1:12321",
            "http://localhost:12321.evil.example.org",
            "file://localhost:12321",
            "localhost:12321",
        ] {
            assert!(
                matches!(checked(host, Some(origin), None), Err(Foreign::Page(_))),
                "{origin}"
            );
        }
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert!(
                matches!(checked(host, None, Some(site)), Err(Foreign::Page(_))),
                "{site}"
            );
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let names = Names {
            listen: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            hostname: None,
        };
        let host = |host| Fields {
            host: Some(host),
            ..Fields::default()
        };
        assert!(check(&names, None, host("[::1]:12321")).is_ok());
        assert!(check(&names, None, host("[::1]")).is_ok());
        assert!(check(&names, None, host("::1")).is_err());
    }
}
