//! TLS: what its failures mean, for administrators.

/// The keys of a server's TLS in a site's configuration.
#[derive(Clone, Copy, Debug)]
pub struct TlsKeys {
    /// The server's address.
    pub address: &'static str,
    /// The CAs that sign its certificate.
    pub ca: &'static str,
    /// The client's certificate.
    pub own: &'static str,
}

/// The advice for a failure, from the client's message; `None` if it is not about TLS.
pub fn advice(cause: &str, keys: TlsKeys) -> Option<String> {
    let TlsKeys { address, ca, own } = keys;
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if says(&["UnknownIssuer", "BadSignature"]) {
        return Some(format!("its certificate is not signed by a CA in {ca}"));
    }
    if says(&["certificate expired", "Expired"]) {
        return Some("its certificate has expired: give the server a new one".to_owned());
    }
    if says(&["NotValidForName", "not valid for name", "not valid for any names"]) {
        return Some(format!("its certificate does not have the name of the host in {address}"));
    }
    if says(&["CaUsedAsEndEntity"]) {
        return Some(format!("its certificate is a CA's own: have it signed by the CA in {ca}"));
    }
    if says(&["InvalidContentType", "TlsNotSupported", "does not have this capability"]) {
        return Some(format!("it does not speak TLS at the address in {address}"));
    }
    if says(&["(os error 11)"]) {
        return Some(format!("it hangs, or does not speak TLS at the address in {address}"));
    }
    if says(&["fatal alert"]) {
        return Some(format!("it does not take the certificate in {own}"));
    }
    None
}
