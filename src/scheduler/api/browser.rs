//! Protection against web pages. A page that the user has open in a browser can send requests to this
//! machine with the user's rights; a POST of text/plain even without a CORS preflight request.
//!
//! Therefore every request, also one that only reads, must name this server in `Host`: otherwise a
//! foreign name that resolves to this machine (DNS rebinding) would be of the same origin as the
//! foreign page. In addition, `Origin` and `Sec-Fetch-Site` tell which page has sent a request.

use std::net::{IpAddr, SocketAddr};

/// The names of this server, besides `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The address that it listens on.
    pub listen: IpAddr,
    /// `:hostname`, in lower case.
    pub hostname: Option<String>,
}

/// The header fields that are checked; `None` if a field was not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `Host`
    pub host: Option<&'a str>,
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'a str>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// 421: it was meant for another server.
    Host(String),
    /// 403: it was sent by a page of another origin.
    Page(String),
}

/// Checks a request. `local` is the server's own address on the connection, which is needed when it
/// listens on 0.0.0.0. Returns the checked authority, which links in the reply may use.
///
/// # Errors
///
/// The field that is wrong, and what would be right.
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
            "Host is {shown:?}, but this server is localhost or {}{also}; set another name as :hostname in the configuration",
            names.listen
        )));
    }
    if let Some(origin) = fields.origin
        && !is_same(origin.trim(), authority)
    {
        let shown = crate::codec::query::shortened(origin);
        return Err(Foreign::Page(format!(
            "requests from pages of {shown:?} are refused: Origin must be http://{authority}"
        )));
    }
    match fields.fetch_site.map(str::trim) {
        None | Some("same-origin" | "none") => Ok(authority),
        Some(site) => {
            let shown = crate::codec::query::shortened(site);
            Err(Foreign::Page(format!(
                "requests from other pages are refused: Sec-Fetch-Site is {shown:?} and must be same-origin or none"
            )))
        }
    }
}

/// Whether an authority names this server. Any port is accepted, because a port may be forwarded.
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

/// The host part of `host`, `host:port`, `[address]` or `[address]:port`.
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

/// Whether an origin is that of this authority.
fn is_same(origin: &str, authority: &str) -> bool {
    let Some((scheme @ ("http" | "https"), origin)) = origin.split_once("://") else {
        // This includes `null`, the origin of sandboxed frames and files.
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
    fn the_servers_own_names_are_served_with_any_port() {
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
    fn a_request_for_another_host_is_refused() {
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
    fn with_a_wildcard_address_the_connections_own_address_counts() {
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
    fn only_pages_of_the_same_origin_are_served() {
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
    fn an_ipv6_address_is_written_in_brackets() {
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
