#ifndef TOLLGATE_COPENSSL_SHIM_H
#define TOLLGATE_COPENSSL_SHIM_H

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Most of what a side of TLS sets is a macro around SSL_ctrl, which Swift does not import. */

/* A process that exits while loops still run must not have its tables freed under them. */
static inline int copenssl_initialize(void) { return OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL); }

/* TLS 1.2 or newer, no renegotiation, no compression, no buffers for connections that wait. */
static inline int copenssl_harden(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

/* Sessions are given to the callback, which owns them, and kept nowhere else. */
static inline void copenssl_give_sessions(SSL_CTX *context, int (*callback)(SSL *, SSL_SESSION *)) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, callback);
}

static inline int copenssl_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline void copenssl_set_owner(SSL *ssl, void *owner) { SSL_set_app_data(ssl, owner); }
static inline void *copenssl_owner(const SSL *ssl) { return SSL_get_app_data(ssl); }

/* The server's side. */

/* Sessions live in the tickets of those who had them, and nowhere else. */
static inline void copenssl_keep_no_sessions(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline void copenssl_set_context_owner(SSL_CTX *context, void *owner) {
    SSL_CTX_set_app_data(context, owner);
}
static inline void *copenssl_context_owner(const SSL *ssl) {
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* What seals and opens session tickets (RFC 5077 section 4). */
typedef struct {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
} copenssl_ticket_key;

/* 1, or -1 for a failure. Seals with the iv given, or opens. */
static inline int copenssl_use_ticket_key(
    copenssl_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seals) == 1 ? 1 : -1;
}

/* The DNS names among a certificate's subject alternative names, one after the other. */
static inline void copenssl_dns_names(
    const X509 *certificate, void *taker, void (*take)(void *taker, const unsigned char *name, int count)) {
    GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        take(taker, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
}

/* A key file with a passphrase is an error, not a question on the terminal. */
static inline int copenssl_no_passphrase(char *buffer, int size, int seals, void *user) {
    (void)buffer, (void)size, (void)seals, (void)user;
    return -1;
}

static inline int copenssl_use_certificate(SSL *ssl, X509 *leaf, EVP_PKEY *key, void *chain) {
    return SSL_use_cert_and_key(ssl, leaf, key, (STACK_OF(X509) *)chain, 1);
}

/* The network's side of a connection: what it reads lies in the caller's memory for the time of one call; what it writes
 * is gathered in memory that goes when it is taken, so that a connection that waits holds none. */
typedef struct {
    const unsigned char *in;
    size_t in_count;
    unsigned char *out;
    size_t out_count;
    size_t out_capacity;
} copenssl_wire;

static inline int copenssl_wire_read(BIO *bio, char *room, int count) {
    copenssl_wire *wire = (copenssl_wire *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    if (wire->in_count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = (size_t)count < wire->in_count ? (size_t)count : wire->in_count;
    memcpy(room, wire->in, taken);
    wire->in += taken;
    wire->in_count -= taken;
    return (int)taken;
}

static inline int copenssl_wire_write(BIO *bio, const char *bytes, int count) {
    copenssl_wire *wire = (copenssl_wire *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    size_t needed = wire->out_count + (size_t)count;
    if (needed > wire->out_capacity) {
        size_t capacity = needed > 2 * wire->out_capacity ? needed : 2 * wire->out_capacity;
        unsigned char *grown = (unsigned char *)realloc(wire->out, capacity);
        if (grown == NULL) return -1;
        wire->out = grown;
        wire->out_capacity = capacity;
    }
    memcpy(wire->out + wire->out_count, bytes, (size_t)count);
    wire->out_count = needed;
    return count;
}

static inline long copenssl_wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* One for the process; NULL when there is no memory for it. */
static inline BIO_METHOD *copenssl_make_wire_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (method == NULL) return NULL;
    if (BIO_meth_set_read(method, copenssl_wire_read) == 1 && BIO_meth_set_write(method, copenssl_wire_write) == 1
        && BIO_meth_set_ctrl(method, copenssl_wire_control) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

static inline BIO *copenssl_make_wire(const BIO_METHOD *method, copenssl_wire *wire) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return NULL;
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    return bio;
}

/* What was gathered has been taken. */
static inline void copenssl_wire_clear(copenssl_wire *wire) {
    free(wire->out);
    wire->out = NULL;
    wire->out_count = 0;
    wire->out_capacity = 0;
}

#endif
