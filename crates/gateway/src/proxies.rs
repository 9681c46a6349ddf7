//! Where a request really comes from, behind proxies that are trusted to say it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.to_vec())
    }

    /// Whether its word counts.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The nearest address that is not a trusted proxy's. Each proxy adds whom it hears at the end of `x-forwarded-for`;
    /// what stands before the word of an untrusted one is anybody's.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        if !self.trusts(nearest) {
            return nearest;
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in hops {
            let Some(address) = address(hop.trim()) else { return nearest };
            nearest = address.to_canonical();
            if !self.trusts(nearest) {
                return nearest;
            }
        }
        nearest
    }
}

/// Some proxies name the port too.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    text.parse().ok().or_else(with_port)
}

/// A network such as `10.0.0.0/8`, or one address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network = text.parse::<IpNet>().ok();
    network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|network| network.trunc())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Proxies, network};

    #[test]
    fn only_the_word_of_trusted_proxies_counts() {
        let proxies = Proxies::new(&[network("10.0.0.0/8").unwrap(), network("::1").unwrap()]);
        for (peer, forwarded, client) in [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
            ("10.1.2.3", "192.0.2.7, 198.51.100.1", "198.51.100.1"),
            ("10.1.2.3", "192.0.2.7, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.1.2.3", "198.51.100.1:4711", "198.51.100.1"),
            ("10.1.2.3", "[2001:db8::7]:4711", "2001:db8::7"),
            ("10.1.2.3", "", "10.1.2.3"),
            ("10.1.2.3", "nonsense", "10.1.2.3"),
            ("10.1.2.3", "198.51.100.1, nonsense", "10.1.2.3"),
            ("::1", "2001:db8::7", "2001:db8::7"),
            ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(forwarded));
            let found = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_or_an_address() {
        assert_eq!(network("10.1.2.3/8").map(|n| n.to_string()).as_deref(), Some("10.0.0.0/8"));
        assert_eq!(network(" 10.1.2.3 ").map(|n| n.to_string()).as_deref(), Some("10.1.2.3/32"));
        assert_eq!(network("ten"), None);
        assert_eq!(network("10.0.0.0/33"), None);
    }
}
