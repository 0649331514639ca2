"""Servers over TLS: everything that works over plain connections, and clear messages if one side
does not trust the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memora._engine import Engine, InvalidInput, MemoraError, Settings
from tests.administrators.test_archive import ended_season
from tests.conftest import clean_site, emptied
from tests.servers.test_settings import PLAIN
from tests.support.secured import Secured, started_with_tls
from tests.support.site_under_test import (
    PATIENT,
    PLAYER,
    SEASON,
    Record,
    Servers,
    Site,
    session,
)


@pytest.fixture(scope="module")
def secured_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Servers of this file's own."""
    with started_with_tls(tmp_path_factory.mktemp("certificates")) as secured:
        yield secured


@pytest.fixture
def secured(secured_servers: Secured) -> Iterator[Secured]:
    """They run and are empty, and show their right certificates."""
    with emptied(secured_servers.servers):
        for role in ("cache", "journal", "database"):
            secured_servers.show(role, secured_servers.certificates.server)
        yield secured_servers


@pytest.fixture
def site(secured: Secured) -> Site:
    """A site on them."""
    servers = secured.servers
    return clean_site(Site(servers, servers.database.database, limits=PATIENT))


def cause(engine: Engine) -> str:
    """Why the cache cannot be used."""
    return engine.cache_status([])["cause"] or ""


def test_everything_works_over_tls(
    site: Site, secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with secured.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("CREATE USER 'secured'@'%' IDENTIFIED BY 'word' REQUIRE X509")
        cursor.execute("GRANT ALL ON `memora\\_%`.* TO 'secured'@'%'")
    own = {"database_user": "secured", "database_password": "word"}
    site.add(PLAYER, [Record(f"q{number:03}") for number in range(250)])
    old = ended_season(site)
    engine = site.engine(**secured.settings(), **own)
    engine.due(PLAYER)
    assert engine.due(PLAYER)["source"] == "cache"
    # More rows than go into one statement; known ones and new ones.
    names = [f"q{number:03}" for number in range(100, 350)]
    for part in range(0, 250, 50):
        engine.submit(PLAYER, session_data=session(*names[part : part + 50]))
    assert engine.drain()["answers"] == 250
    stabilities = {name: row["stability"] for name, row in site.rows().items()}
    assert len(stabilities) == 350
    assert {stabilities[f"q{number:03}"] for number in range(100, 250)} == {3}
    assert {stabilities[f"q{number:03}"] for number in range(100)} == {2}
    assert engine.journal_status()["reachable"]
    assert engine.cache_status([SEASON])["cause"] is None
    assert engine.rebuild(SEASON)["done"] == 350
    report = engine.reconcile(SEASON)
    assert (report["records"], report["corrected"]) == (350, 0)
    engine.archive(old)
    engine.forget(PLAYER)
    engine.uninstall()
    assert "does not answer" not in caplog.text
    with secured.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("DROP USER 'secured'@'%'")


def test_only_what_goes_over_tls_does_without_the_bulk_protocol(
    site: Site, secured: Secured
) -> None:
    """Other sites of the same process write as ever."""

    def audits(**own: Any) -> list[str]:
        with site.listening() as statements:
            engine = site.engine(**own)
            for name in ("q", "r"):
                engine.submit(PLAYER, session_data=session(name))
            assert engine.drain()["submissions"] == 2
        return [one for one in statements if one.startswith("INSERT INTO `tabMemory Review Audit`")]

    assert ["),(" in one for one in audits(**secured.database())] == [True]
    plain = audits()
    assert plain
    assert not any("),(" in one for one in plain)


@pytest.mark.parametrize(
    ("shown", "options", "advice"),
    [
        ("server", {"ca_certs": "other_ca"}, "not signed by a CA in ssl_ca_certs in the URL"),
        ("server", {}, "not signed by a CA in ssl_ca_certs in the URL"),
        ("expired", {"ca_certs": "ca"}, "has expired"),
        (
            "elsewhere",
            {"ca_certs": "ca", "check_hostname": "1"},
            "not have the name of the host in redis_cache (or srs_cache_url)",
        ),
    ],
)
def test_a_redis_that_is_not_trusted_is_not_used(
    site: Site, secured: Secured, shown: str, options: dict[str, str], advice: str
) -> None:
    secured.show("cache", getattr(secured.certificates, shown))
    files = {
        name: str(getattr(secured.certificates, value, value)) for name, value in options.items()
    }
    engine = site.engine(cache_url=secured.url("cache", **files))
    assert not engine.cache_available()
    assert advice in cause(engine)


@pytest.mark.parametrize(
    ("shown", "options"),
    [
        # As in redis-py 4.5: the name is only checked on request.
        ("elsewhere", {"ca_certs": "ca"}),
        ("server", {"ca_certs": "ca", "check_hostname": "true"}),
        ("server", {"ca_certs": "ca", "cert_reqs": "optional"}),
        ("expired", {"cert_reqs": "none"}),
        ("elsewhere", {"cert_reqs": "none"}),
        ("server", {"ca_path": "folder"}),
    ],
)
def test_the_options_mean_what_they_mean_to_redis_py(
    site: Site, secured: Secured, shown: str, options: dict[str, str], tmp_path: Path
) -> None:
    secured.show("cache", getattr(secured.certificates, shown))
    (tmp_path / "ca.pem").write_bytes(secured.certificates.ca.read_bytes())
    files = {
        name: str(tmp_path if value == "folder" else getattr(secured.certificates, value, value))
        for name, value in options.items()
    }
    engine = site.engine(cache_url=secured.url("cache", **files))
    assert engine.cache_available(), cause(engine)


def test_a_redis_that_speaks_no_tls_is_named(site: Site, secured: Secured) -> None:
    url = f"rediss://localhost:{secured.servers.cache.port}?ssl_cert_reqs=none"
    engine = site.engine(cache_url=url)
    assert not engine.cache_available()
    assert "does not speak TLS at the address in redis_cache (or srs_cache_url)" in cause(engine)


def test_a_redis_that_wants_a_certificate_is_named(site: Site, secured: Secured) -> None:
    with secured.servers.cache.client() as client:
        client.config_set("tls-auth-clients", "yes")
        try:
            engine = site.engine(
                cache_url=secured.url("cache", ca_certs=str(secured.certificates.ca))
            )
            assert not engine.cache_available()
            assert "does not take the certificate in ssl_certfile" in cause(engine)
        finally:
            client.config_set("tls-auth-clients", "optional")


@pytest.mark.parametrize(
    ("shown", "ca", "advice"),
    [
        ("server", "other_ca", "not signed by a CA in db_ssl_ca"),
        ("expired", "ca", "has expired"),
        ("elsewhere", "ca", "not have the name of the host in db_host"),
    ],
)
def test_a_mariadb_that_is_not_trusted_is_not_used(
    site: Site, secured: Secured, shown: str, ca: str, advice: str
) -> None:
    secured.show("database", getattr(secured.certificates, shown))
    file = str(getattr(secured.certificates, ca))
    with pytest.raises(MemoraError, match=advice):
        site.engine(**secured.database(database_ssl_ca=file)).partitions()


def test_a_mariadb_that_speaks_no_tls_is_named(
    private_servers: Servers, secured: Secured, site: Site
) -> None:
    plain = {"database_port": private_servers.database.port}
    with pytest.raises(MemoraError, match="does not speak TLS at the address in db_host"):
        site.engine(**secured.database(**plain)).partitions()


def test_a_way_to_sign_in_that_is_not_known_is_an_error(site: Site, secured: Secured) -> None:
    with secured.servers.database.connect_as_root() as root, root.cursor() as cursor:
        cursor.execute("INSTALL SONAME 'auth_ed25519'")
        cursor.execute("CREATE USER 'modern'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('word')")
        try:
            engine = site.engine(database_user="modern", database_password="word")
            with pytest.raises(MemoraError, match="db_user sign in with mysql_native_password"):
                engine.partitions()
        finally:
            cursor.execute("DROP USER 'modern'@'%'")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://h?ssl_cert_reqs=none", "ssl_cert_reqs needs rediss://"),
        ("rediss://h?ssl_cert_reqs=never", "none, optional or required"),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=1", "needs ssl_cert_reqs"),
        ("rediss://h?ssl_keyfile=/nowhere", "needs ssl_certfile"),
        ("rediss://h?ssl_certfile=/nowhere", "ssl_certfile: /nowhere: No such file"),
        ("rediss://h?ssl_ca_certs=/nowhere", "ssl_ca_certs: /nowhere: No such file"),
        ("rediss://h?ssl_ca_certs=/dev/null", "ssl_ca_certs: no certificate"),
        ("rediss://h?ssl_ca_path=/nowhere", "ssl_ca_path: /nowhere: No such file"),
        ("rediss://h?ssl_password=s3cret", "option ssl_password"),
        ("rediss://h?ssl_validate_ocsp=1", "option ssl_validate_ocsp"),
    ],
)
def test_what_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Settings(**(PLAIN | {"journal_url": url}))
    assert why in str(refusal.value)


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_file_that_is_not_there_is_named(secured: Secured, key: str) -> None:
    changes = secured.database(**{f"database_ssl_{key}": "/nowhere"})
    with pytest.raises(InvalidInput, match=f"db_ssl_{key} cannot be used: /nowhere: No such file"):
        Settings(**(PLAIN | changes))
