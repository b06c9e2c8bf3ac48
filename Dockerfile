# harden with all that it can use.  docs/bot.md tells how to run it; its last lines are its own work.
FROM python:3.12-slim AS build
WORKDIR /src
COPY LICENSE README.md pyproject.toml ./
COPY hardener hardener
RUN python -m venv /opt/hardener && /opt/hardener/bin/pip install --no-cache-dir '.[github,gitlab,gitea]'

FROM python:3.12-slim
RUN groupadd --gid 5000 appgroup && useradd --uid 5000 --gid appgroup --create-home appuser
RUN apt-get update \
 && apt-get install --no-install-recommends -y ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build --chown=5000:5000 /opt/hardener /opt/hardener
ENV PATH="/opt/hardener/bin:$PATH"
WORKDIR /work
RUN chown 5000:5000 /work
USER 5000:5000
ENTRYPOINT ["harden"]
CMD ["--help"]
