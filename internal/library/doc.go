// Package library keeps the corpus that search and document_parse share.
package library
