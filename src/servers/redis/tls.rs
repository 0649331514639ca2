//! TLS to Redis: redis-py's options, converted for the client.

use std::fs;
use std::path::Path;

use ::redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::url::TlsOptions;

/// The address of a host with TLS. Its files are read now.
///
/// # Errors
/// The text names the option that cannot be used, and says why.
pub fn address(host: &str, port: u16, options: &TlsOptions) -> Result<ConnectionAddr, String> {
    let bare = ConnectionAddr::TcpTls {
        host: host.to_owned(),
        port,
        insecure: !options.cert_reqs,
        tls_params: None,
    };
    let client_tls = match &options.certfile {
        Some(certificate) => Some(ClientTlsConfig {
            client_cert: certificates("ssl_certfile", certificate)?,
            client_key: key(options.keyfile.as_deref().unwrap_or(certificate))?,
        }),
        None => None,
    };
    let certificates = TlsCertificates { client_tls, root_cert: Some(roots(options)?) };
    let info = bare.into_connection_info().map_err(|error| error.to_string())?;
    let client = Client::build_with_tls(info, certificates).map_err(|error| error.to_string())?;
    let mut address = ConnectionInfo::addr(client.get_connection_info()).clone();
    if options.cert_reqs {
        address.set_danger_accept_invalid_hostnames(!options.check_hostname);
    }
    Ok(address)
}

/// The CAs that are trusted, as PEM: those of the system, and those that the options name.
fn roots(options: &TlsOptions) -> Result<Vec<u8>, String> {
    let mut roots = Vec::new();
    if !options.cert_reqs {
        return Ok(roots);
    }
    let mut checked = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // Some systems have a certificate that cannot be read.
        if checked.add(certificate.clone()).is_ok() {
            roots.extend(pem(&certificate));
        }
    }
    if let Some(file) = &options.ca_certs {
        roots.extend(certificates("ssl_ca_certs", file)?);
    }
    if let Some(folder) = &options.ca_path {
        let unusable = |error| unusable("ssl_ca_path", folder, &error);
        for entry in fs::read_dir(folder).map_err(unusable)? {
            let file = entry.map_err(unusable)?.path();
            if file.is_file() {
                roots.extend(certificates("ssl_ca_path", &file)?);
            }
        }
    }
    if let Some(text) = &options.ca_data {
        roots.extend(checked_certificates("ssl_ca_data", text.as_bytes())?);
    }
    Ok(roots)
}

fn certificates(option: &str, file: &Path) -> Result<Vec<u8>, String> {
    let bytes = fs::read(file).map_err(|error| unusable(option, file, &error))?;
    checked_certificates(option, &bytes).map_err(|what| format!("{what} in {}", file.display()))
}

fn checked_certificates(option: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| format!("{option}: {error}"))?;
        found.extend(pem(&certificate));
    }
    if found.is_empty() { Err(format!("{option}: no certificate (PEM)")) } else { Ok(found) }
}

fn key(file: &Path) -> Result<Vec<u8>, String> {
    let bytes = fs::read(file).map_err(|error| unusable("ssl_keyfile", file, &error))?;
    match rustls::pki_types::PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => {
            let file = file.display();
            Err(format!("ssl_keyfile: no key (PEM, not encrypted) in {file}"))
        }
    }
}

fn unusable(option: &str, file: &Path, error: &std::io::Error) -> String {
    format!("{option}: {}: {error}", file.display())
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let text = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}
