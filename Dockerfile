# The program on CPUs, without a tool chain and without CUDA; it needs no network to do its main job:
#
#   docker build -t folkrnn-lab .
#   docker run --rm --network none -v "$PWD:/results" folkrnn-lab
#   docker run --rm --network none -v "$PWD:/results" folkrnn-lab experiment=part5
#
# Results are in the folder that is mounted: mlflow.db, mlartifacts/ and runs/, each with its report.html.
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim
COPY requirements.lock /tmp/
COPY --from=wheel /wheel /tmp/wheel
# torch first, from its index of builds for CPUs: the build of PyPI brings gigabytes of CUDA
RUN pip install --no-cache-dir -c /tmp/requirements.lock --index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --no-cache-dir -c /tmp/requirements.lock /tmp/wheel/*.whl \
    && rm -r /tmp/wheel \
    && useradd --create-home folk && mkdir /results && chown folk /results
USER folk
WORKDIR /results
ENTRYPOINT ["folkrnn-lab"]
