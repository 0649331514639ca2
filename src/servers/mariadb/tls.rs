//! TLS to MariaDB: Frappe's `db_ssl_ca`, `db_ssl_cert` and `db_ssl_key`.

use std::fs;
use std::path::{Path, PathBuf};

use mysql::{ClientIdentity, SslOpts};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};
use crate::servers::tls::TlsKeys;

/// Their keys in a site's configuration.
pub const KEYS: TlsKeys =
    TlsKeys { address: "db_host", ca: "db_ssl_ca", own: "db_ssl_cert and db_ssl_key" };

/// The files of TLS, all PEM.
pub struct DatabaseTls<'a> {
    /// The CAs that sign the server's certificate.
    pub ca: &'a str,
    /// The client's certificate.
    pub cert: &'a str,
    /// Its key.
    pub key: &'a str,
}

impl DatabaseTls<'_> {
    /// As Frappe uses them: the server's certificate must name the host.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] names the key whose file cannot be used.
    pub fn options(&self) -> Result<SslOpts> {
        for (key, file) in [("db_ssl_ca", self.ca), ("db_ssl_cert", self.cert)] {
            let count = CertificateDer::pem_slice_iter(&read(key, file)?).flatten().count();
            if count == 0 {
                return Err(refuse(key, file, "there is no certificate (PEM)"));
            }
        }
        if PrivateKeyDer::from_pem_slice(&read("db_ssl_key", self.key)?).is_err() {
            return Err(refuse("db_ssl_key", self.key, "there is no key (PEM, not encrypted)"));
        }
        let identity = ClientIdentity::new(PathBuf::from(self.cert), PathBuf::from(self.key));
        let options = SslOpts::default().with_root_cert_path(Some(PathBuf::from(self.ca)));
        Ok(options.with_client_identity(Some(identity)))
    }
}

fn read(key: &str, file: &str) -> Result<Vec<u8>> {
    fs::read(Path::new(file)).map_err(|error| refuse(key, file, &error.to_string()))
}

fn refuse(key: &str, file: &str, why: &str) -> Error {
    Error::InvalidInput(format!("{key} cannot be used: {file}: {why}"))
}
