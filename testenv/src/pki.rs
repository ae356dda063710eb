//! A certificate authority for one run, and the certificates and keys the components and the admin need.
//!
//! Nothing here is fit for production: certificates do not expire while anybody watches, and the keys lie in the
//! run's directory. Everything is P-256, service account tokens included.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::error::{Error, Result};

/// A certificate and its key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The certificate authority of one run.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) ca_certificate: String,
}

impl Pki {
    /// Makes an authority and writes what the components read: `ca.crt`, `serving.{crt,key}`, `service-account.{key,pub}`.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.distinguished_name = name("sluice-testenv-ca", None);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let pki = Self {
            issuer: Issuer::new(params, key),
            ca_certificate: certificate.pem(),
        };

        let serving = pki.serving()?;
        let service_account = KeyPair::generate()?;
        for (file, content) in [
            ("ca.crt", &pki.ca_certificate),
            ("serving.crt", &serving.certificate),
            ("serving.key", &serving.key),
            ("service-account.key", &service_account.serialize_pem()),
            ("service-account.pub", &service_account.public_key_pem()),
        ] {
            let path = directory.join(file);
            fs::write(&path, content).map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(pki)
    }

    /// Makes a client certificate: the API server takes the common name as the user, the organisation as its group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = name(user, group);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn serving(&self) -> Result<Identity> {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        params.distinguished_name = name("sluice-testenv", None);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
