"""The readers of the servers' configuration files, by the name that ``servers.toml`` gives as ``reader``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import (
    apache_configuration,
    caddy_configuration,
    fpm_configuration,
    haproxy_configuration,
    lighttpd_configuration,
    nginx_configuration,
    tomcat_configuration,
    traefik_configuration,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.server_reading import Reading

READERS: dict[str, Callable[[bytes], Reading]] = {
    "nginx": nginx_configuration.read,
    "apache": apache_configuration.read,
    "httpd": apache_configuration.read_httpd,
    "php-fpm": fpm_configuration.read,
    "tomcat": tomcat_configuration.read,
    "caddy": caddy_configuration.read,
    "haproxy": haproxy_configuration.read,
    "lighttpd": lighttpd_configuration.read,
    "traefik": traefik_configuration.read,
}
