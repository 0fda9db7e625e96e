//! Keys of the emulated machine: EGETKEY, EREPORT, and the derivation beneath (SDM 40.4, EGETKEY).
//!
//! Real processors derive keys from secrets burnt into them. Here the secret is a file of the user, so
//! that enclaves of one machine can attest to each other and unseal what they sealed. It protects
//! nothing: everyone who reads the file can derive every key.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io, process};

use aes::Aes128;
use cmac::{Cmac, Mac};
use sgx_types::{
    AttributeFlags, Attributes, KeyName, KeyPolicy, KeyRequest, Report, ReportBody, SgxError,
    TargetInfo,
};
use sha2::{Digest, Sha256};
use zerocopy::{Immutable, IntoBytes};

use crate::context::Context;
use crate::enclave::{Identity, Inner};
use crate::enter::Fault;
use crate::ssa;

/// Security version of the emulated processor.
const CPU_SVN: [u8; 16] = *b"emulated\x01\0\0\0\0\0\0\0";

/// What a key is derived from, in the SDM's order of the fields.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
struct Dependencies {
    key_name: u16,
    isv_prod_id: u16,
    isv_svn: u16,
    config_svn: u16,
    misc_select: u32,
    misc_mask: u32,
    isv_ext_prod_id: [u8; 16],
    isv_family_id: [u8; 16],
    owner_epoch: [u8; 16],
    attributes: [u64; 2],
    attribute_mask: [u64; 2],
    mrenclave: [u8; 32],
    mrsigner: [u8; 32],
    key_id: [u8; 32],
    cpu_svn: [u8; 16],
    config_id: [[u8; 32]; 2],
    key_policy: u64,
}

fn words(attributes: Attributes) -> [u64; 2] {
    [attributes.flags.bits(), attributes.xfrm.bits()]
}

fn halves(bytes: [u8; 64]) -> [[u8; 32]; 2] {
    let (low, high) = bytes.split_at(32);
    [low, high].map(|half| half.try_into().unwrap_or_default())
}

impl Dependencies {
    fn derive(&self) -> [u8; 16] {
        mac(&machine().fuse_key, self.as_bytes())
    }
}

fn mac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let mac = <Cmac<Aes128> as Mac>::new(key.into());
    mac.chain_update(message).finalize().into_bytes().into()
}

/// The secrets of the machine.
struct Machine {
    fuse_key: [u8; 16],
    owner_epoch: [u8; 16],
    /// CR_REPORT_KEYID: changes with each start of the machine.
    report_key_id: [u8; 32],
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let secret = secret();
        let derive = |label: &str, context: &[u8]| -> [u8; 32] {
            let hash = Sha256::new_with_prefix(secret).chain_update(label);
            hash.chain_update(context).finalize().into()
        };
        let half = |label| {
            let [low, _] = derive(label, b"").as_chunks::<16>().0.try_into().unwrap_or_default();
            low
        };
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Machine {
            fuse_key: half("fuse key"),
            owner_epoch: half("owner epoch"),
            report_key_id: derive("report key id", &boot),
        }
    })
}

/// The machine's secret: from its file, which is made at the first use. Where no file can be made (a
/// read-only container), it hangs on the machine id.
fn secret() -> [u8; 32] {
    let file = secret_file();
    file.and_then(|path| read_or_make(&path).ok()).unwrap_or_else(|| {
        let id = fs::read("/etc/machine-id").unwrap_or_default();
        Sha256::new_with_prefix("emulated SGX machine").chain_update(id).finalize().into()
    })
}

/// `SCONE_EMU_FUSES`, or `scone/emulated-fuses` in the user's state directory.
fn secret_file() -> Option<PathBuf> {
    let state = || {
        let home = || env::home_dir().map(|home| home.join(".local/state"));
        env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute()).or_else(home)
    };
    let named = env::var_os("SCONE_EMU_FUSES").map(PathBuf::from);
    named.or_else(|| Some(state()?.join("scone/emulated-fuses")))
}

/// Reads the secret, or makes it; several processes may do so at once.
fn read_or_make(path: &Path) -> io::Result<[u8; 32]> {
    let read = || {
        let bytes = fs::read(path)?;
        <[u8; 32]>::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut secret = [0; 32];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut secret)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension(process::id().to_string());
    fs::write(&draft, secret)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read(),
    }
}

/// The operand at `address`, which must be aligned and inside.
fn operand<T: IntoBytes + zerocopy::FromBytes>(
    inner: &Inner,
    address: u64,
    align: u64,
) -> Result<T, Fault> {
    check_operand(inner, address, align, size_of::<T>() as u64)?;
    ssa::get(inner, address)
}

fn check_operand(inner: &Inner, address: u64, align: u64, len: u64) -> Result<(), Fault> {
    let good = address.is_multiple_of(align) && inner.contains(address, len);
    if good { Ok(()) } else { Err(Fault::GP) }
}

/// EREPORT: RBX = TARGETINFO, RCX = REPORTDATA, RDX = where REPORT goes.
pub(crate) fn ereport(inner: &Inner, context: &Context) -> Result<(), Fault> {
    let (rbx, rcx, rdx) = (context.regs.rbx, context.regs.rcx, context.regs.rdx);
    check_operand(inner, rdx, 512, size_of::<Report>() as u64)?;
    check_operand(inner, rcx, 128, 64)?;
    let target: TargetInfo = operand(inner, rbx, 512)?;
    if !target.reserved_is_zero() || target.cet_attributes != 0 {
        return Err(Fault::GP);
    }
    let report_data = operand(inner, rcx, 128)?;
    let body = report_body(inner, report_data)?;
    let key_id = machine().report_key_id;
    let key = report_key(&target, key_id);
    let report = Report { body, key_id, mac: mac(&key, body.as_bytes()) };
    ssa::put(inner, rdx, &report)
}

fn identity(inner: &Inner) -> Result<&Identity, Fault> {
    inner.identity.get().ok_or(Fault::GP)
}

/// Attributes as EINIT leaves them.
fn attributes(inner: &Inner) -> Attributes {
    let Attributes { flags, xfrm } = inner.secs.attributes;
    Attributes { flags: flags | AttributeFlags::INIT, xfrm }
}

fn report_body(inner: &Inner, report_data: [u8; 64]) -> Result<ReportBody, Fault> {
    let identity = identity(inner)?;
    Ok(ReportBody {
        cpu_svn: CPU_SVN,
        misc_select: inner.secs.misc_select,
        isv_ext_prod_id: identity.isv_ext_prod_id,
        attributes: attributes(inner),
        mrenclave: identity.mrenclave,
        mrsigner: identity.mrsigner,
        config_id: inner.secs.config_id,
        isv_prod_id: identity.isv_prod_id,
        isv_svn: identity.isv_svn,
        config_svn: inner.secs.config_svn,
        isv_family_id: identity.isv_family_id,
        report_data,
        ..ReportBody::default()
    })
}

/// The key by which `target` checks reports.
fn report_key(target: &TargetInfo, key_id: [u8; 32]) -> [u8; 16] {
    Dependencies {
        key_name: KeyName::Report as u16,
        config_svn: target.config_svn,
        misc_select: target.misc_select.bits(),
        owner_epoch: machine().owner_epoch,
        attributes: words(target.attributes),
        mrenclave: target.measurement,
        key_id,
        cpu_svn: CPU_SVN,
        config_id: halves(target.config_id),
        ..Dependencies::default()
    }
    .derive()
}

/// EGETKEY: RBX = KEYREQUEST, RCX = where the key goes.
pub(crate) fn egetkey(inner: &Inner, context: &Context) -> Result<u32, Fault> {
    let (rbx, rcx) = (context.regs.rbx, context.regs.rcx);
    check_operand(inner, rcx, 16, 16)?;
    let request: KeyRequest = operand(inner, rbx, 512)?;
    let policy = request.key_policy;
    let kss = attributes(inner).flags.contains(AttributeFlags::KSS);
    let plain = KeyPolicy::MRENCLAVE | KeyPolicy::MRSIGNER;
    let allowed = if kss { KeyPolicy::all() } else { plain };
    if !request.reserved_is_zero() || !allowed.contains(policy) || request.cet_attributes_mask != 0
    {
        return Err(Fault::GP);
    }
    match derive(inner, &request)? {
        Ok(key) => ssa::put(inner, rcx, &key).map(|()| 0),
        Err(code) => Ok(code as u32),
    }
}

/// The key, or why the enclave may not have it.
fn derive(inner: &Inner, request: &KeyRequest) -> Result<Result<[u8; 16], SgxError>, Fault> {
    let identity = identity(inner)?;
    let Some(name) = KeyName::from_bits(request.key_name) else {
        return Ok(Err(SgxError::InvalidKeyname));
    };
    let has = |flag| attributes(inner).flags.contains(flag);
    let permitted = match name {
        KeyName::EinitToken => has(AttributeFlags::EINITTOKENKEY),
        KeyName::Provision | KeyName::ProvisionSeal => has(AttributeFlags::PROVISIONKEY),
        KeyName::Report | KeyName::Seal => true,
    };
    if !permitted {
        return Ok(Err(SgxError::InvalidAttribute));
    }
    if name == KeyName::Report {
        let target = TargetInfo::from(&report_body(inner, [0; 64])?);
        return Ok(Ok(report_key(&target, request.key_id)));
    }
    if request.cpu_svn.iter().zip(CPU_SVN).any(|(&asked, own)| asked > own) {
        return Ok(Err(SgxError::InvalidCpusvn));
    }
    if request.isv_svn > identity.isv_svn || request.config_svn > inner.secs.config_svn {
        return Ok(Err(SgxError::InvalidIsvsvn));
    }
    Ok(Ok(dependencies(inner, identity, name, request).derive()))
}

/// What seal, provisioning and launch keys depend on.
fn dependencies(
    inner: &Inner,
    identity: &Identity,
    name: KeyName,
    request: &KeyRequest,
) -> Dependencies {
    let always = AttributeFlags::INIT | AttributeFlags::DEBUG;
    let own = attributes(inner);
    let attributes = Attributes {
        flags: own.flags & (request.attribute_mask.flags | always),
        xfrm: own.xfrm & request.attribute_mask.xfrm,
    };
    let policy = if name == KeyName::Seal { request.key_policy } else { KeyPolicy::MRSIGNER };
    let when = |flag: KeyPolicy| policy.contains(flag);
    let sealing = matches!(name, KeyName::Seal | KeyName::ProvisionSeal);
    let mut keyed = Dependencies {
        key_name: name as u16,
        isv_svn: request.isv_svn,
        misc_select: (inner.secs.misc_select & request.misc_mask).bits(),
        misc_mask: !request.misc_mask.bits(),
        attributes: words(attributes),
        attribute_mask: words(request.attribute_mask),
        cpu_svn: request.cpu_svn,
        key_policy: policy.bits().into(),
        ..Dependencies::default()
    };
    if !when(KeyPolicy::NOISVPRODID) {
        keyed.isv_prod_id = identity.isv_prod_id;
    }
    if when(KeyPolicy::MRENCLAVE) {
        keyed.mrenclave = identity.mrenclave;
    }
    if when(KeyPolicy::MRSIGNER) {
        keyed.mrsigner = identity.mrsigner;
    }
    if when(KeyPolicy::CONFIGID) {
        keyed.config_id = halves(inner.secs.config_id);
        keyed.config_svn = request.config_svn;
    }
    if when(KeyPolicy::ISVFAMILYID) {
        keyed.isv_family_id = identity.isv_family_id;
    }
    if when(KeyPolicy::ISVEXTPRODID) {
        keyed.isv_ext_prod_id = identity.isv_ext_prod_id;
    }
    if sealing {
        keyed.owner_epoch = machine().owner_epoch;
    }
    if name != KeyName::Provision && name != KeyName::ProvisionSeal {
        keyed.key_id = request.key_id;
    }
    keyed
}
