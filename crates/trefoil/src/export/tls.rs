//! TLS to receivers: the platform's roots or an authority of one's own, and a client's
//! certificate where the receiver asks for one.

use super::connection::{Stream, Version};
use crate::config::TlsSettings;

#[cfg(feature = "tls")]
pub(super) use by_rustls::Tls;

#[cfg(not(feature = "tls"))]
pub(super) use without::Tls;

#[cfg(feature = "tls")]
mod by_rustls {
    use std::fmt;
    use std::path::Path;
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::{Stream, TlsSettings, Version};

    /// What connections to one endpoint are secured with.
    #[derive(Clone)]
    pub(in super::super) struct Tls {
        config: Arc<ClientConfig>,
    }

    impl fmt::Debug for Tls {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Tls")
        }
    }

    impl Tls {
        /// Reads the files.
        ///
        /// # Errors
        /// Names the file and what is wrong with it.
        pub(in super::super) fn new(settings: &TlsSettings) -> Result<Tls, String> {
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?
                .with_root_certificates(roots(settings.ca.as_deref())?);
            let config = match (&settings.client_certificate, &settings.client_key) {
                (Some(certificate), Some(key_file)) => {
                    let key = PrivateKeyDer::from_pem_file(key_file)
                        .map_err(|error| unreadable("the client's key", key_file, &error))?;
                    let chain = certificates("the client's certificate", certificate)?;
                    builder.with_client_auth_cert(chain, key).map_err(|error| {
                        let file = certificate.display();
                        format!("the client's certificate {file} cannot be used: {error}")
                    })?
                }
                (None, None) => builder.with_no_client_auth(),
                _ => {
                    return Err("the client's certificate and its key belong together, \
                                and one is missing"
                        .to_owned());
                }
            };
            Ok(Tls { config: Arc::new(config) })
        }

        pub(in super::super) async fn connect(
            &self,
            host: &str,
            version: Version,
            stream: Box<dyn Stream>,
        ) -> Result<TlsStream<Box<dyn Stream>>, String> {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| format!("{host} is not a name that a certificate can hold"))?;
            let mut config = ClientConfig::clone(&self.config);
            config.alpn_protocols = match version {
                Version::Http1 => vec![b"http/1.1".to_vec()],
                Version::Http2 => vec![b"h2".to_vec()],
            };
            let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            connected.map_err(|error| format!("TLS with {host} failed: {error}"))
        }
    }

    fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(file) => {
                for certificate in certificates("the authority's certificate", file)? {
                    roots.add(certificate).map_err(|error| {
                        let file = file.display();
                        format!("the authority's certificate {file} cannot be used: {error}")
                    })?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err("this system has no root certificates: install them \
                                (ca-certificates) or name a file of them"
                        .to_owned());
                }
            }
        }
        Ok(roots)
    }

    fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let read = CertificateDer::pem_file_iter(file);
        let all = read.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let all = all.map_err(|error| unreadable(what, file, &error))?;
        if all.is_empty() {
            return Err(format!("{what} {} holds no certificate in PEM", file.display()));
        }
        Ok(all)
    }

    fn unreadable(what: &str, file: &Path, error: &dyn fmt::Display) -> String {
        format!("{what} {} cannot be read: {error}", file.display())
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use std::convert::Infallible;

    use super::{Stream, TlsSettings, Version};

    /// Does not exist.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Tls(Infallible);

    impl Tls {
        /// # Errors
        /// Always: nothing is ever sent in the clear instead.
        pub(in super::super) fn new(_: &TlsSettings) -> Result<Tls, String> {
            Err("https needs the feature `tls` of the crate trefoil; nothing is sent in the \
                 clear instead"
                .to_owned())
        }

        pub(in super::super) async fn connect(
            &self,
            _: &str,
            _: Version,
            _: Box<dyn Stream>,
        ) -> Result<Box<dyn Stream>, String> {
            match self.0 {}
        }
    }
}
