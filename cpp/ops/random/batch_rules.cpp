#include "op/batch.h"

// How samplers and densities run over a batch: with numbers of its own for each example.
namespace mxtape {
namespace {

void multinomial(BatchCall& call) {
  if (call.ndim(0) == 1) return batch::in_front(call);
  batch::merge_leading(call);
}

const BatchRules rules{
    {"_sample_multinomial", multinomial},
    {"_random_uniform_like", batch::in_front},
    {"_random_normal_like", batch::in_front},
    {"_random_gamma_like", batch::in_front},
    {"_random_exponential_like", batch::in_front},
    {"_random_poisson_like", batch::in_front},
    {"_random_negative_binomial_like", batch::in_front},
    {"_random_generalized_negative_binomial_like", batch::in_front},
    {"_sample_uniform", batch::in_front},
    {"_sample_normal", batch::in_front},
    {"_sample_gamma", batch::in_front},
    {"_sample_exponential", batch::in_front},
    {"_sample_poisson", batch::in_front},
    {"_sample_negative_binomial", batch::in_front},
    {"_sample_generalized_negative_binomial", batch::in_front},
    {"_random_pdf_uniform", batch::in_front},
    {"_random_pdf_normal", batch::in_front},
    {"_random_pdf_gamma", batch::in_front},
    {"_random_pdf_exponential", batch::in_front},
    {"_random_pdf_poisson", batch::in_front},
    {"_random_pdf_negative_binomial", batch::in_front},
    {"_random_pdf_generalized_negative_binomial", batch::in_front},
    {"_random_pdf_dirichlet", batch::in_front},
};

}  // namespace
}  // namespace mxtape
