# For `source`: Debian's archive as the machine's own apt reaches it, for those who use it without touching that apt.

# apt_sources TYPE COMPONENTS [SUITE]: lines for a sources.list, TYPE deb or deb-src: the mirrors that apt here uses,
# whichever way its sources are written; of them only Debian's own archive, signed by its keys. Without SUITE all that
# is configured (updates and security, too), with SUITE that one from the same mirror. Nothing if apt knows no source.
apt_sources() {
  if [ -z "$(apt_targets)" ]; then apt-get -qq update >&2; fi # apt knows an archive's origin once it has its lists
  apt_targets | awk -F'|' -v type="$1" -v components="$2" -v suite="${3-}" \
    -v key=/usr/share/keyrings/debian-archive-keyring.gpg '
      suite == "" { print type " [signed-by=" key "] " $2 " " $3 " " components }
      suite != "" && $3 !~ /-/ { print type " [signed-by=" key "] " $2 " " suite " " components }' | sort -u
}

apt_targets() {
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" && $4 == "main"'
}

# apt_settings: how this machine reaches its mirrors (proxies, mirrors that stand still in time), as lines of apt.conf
apt_settings() { apt-config dump | grep -E '^Acquire::(Check-|Retries|https?::)' || true; }
