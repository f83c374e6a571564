# %% [markdown]
# # Notebook networks
# %%
print(1 + 1)
